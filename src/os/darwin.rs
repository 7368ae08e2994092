//! The three things of macOS that no crate offers in safe Rust: the block of arguments and
//! environment of a process, its working directory, and what a TCP socket of it is bound to. Reads
//! only, knows nothing of what is done with it.
#![allow(unsafe_code)]

use libproc::libproc::{
    file_info::{ListFDs, ProcFDType, pidfdinfo},
    net_info::{SocketFDInfo, SocketInfoKind, TcpSIState},
    proc_pid::{PIDInfo, PidInfoFlavor, listpidinfo, pidinfo},
};
use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    ptr,
};

/// What `KERN_PROCARGS2` gives (sysctl(3), `exec_copyout_strings` of XNU): a count, the path of the
/// executable, NULs, then arguments and environment with a NUL after each. `None` for processes of
/// others, and those that are gone.
pub(in crate::os) fn strings(pid: u32) -> Option<Vec<u8>> {
    let pid = libc::c_int::try_from(pid).ok()?;
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let length = libc::c_uint::try_from(name.len()).ok()?;
    let mut size = 0;
    // SAFETY: asks for the size only; `name` and `size` live through the call.
    let asked = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            length,
            ptr::null_mut(),
            &raw mut size,
            ptr::null_mut(),
            0,
        )
    };
    if asked != 0 || size == 0 {
        return None;
    }
    let mut block = vec![0u8; size];
    // SAFETY: `block` has room for `size` bytes, and the kernel writes no more than that.
    let read = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            length,
            block.as_mut_ptr().cast(),
            &raw mut size,
            ptr::null_mut(),
            0,
        )
    };
    if read != 0 {
        return None;
    }
    block.truncate(size);
    Some(block)
}

/// proc_info.h, `PROC_PIDVNODEPATHINFO`.
#[repr(transparent)]
struct Folders(libc::proc_vnodepathinfo);

impl PIDInfo for Folders {
    fn flavor() -> PidInfoFlavor {
        PidInfoFlavor::VNodePathInfo
    }
}

/// The working directory of a process of ours.
pub(in crate::os) fn cwd(pid: u32) -> Option<PathBuf> {
    let folders = pidinfo::<Folders>(i32::try_from(pid).ok()?, 0).ok()?;
    let bytes: Vec<u8> = folders
        .0
        .pvi_cdir
        .vip_path
        .as_flattened()
        .iter()
        .map(|byte| byte.to_ne_bytes()[0])
        .take_while(|byte| *byte != 0)
        .collect();
    (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(&bytes)))
}

/// What the listening TCP sockets of a process are bound to; `None` where it may not be looked
/// into. `files` is how many it has open, about.
pub(in crate::os) fn listening(pid: u32, files: u32) -> Option<Vec<(IpAddr, u16)>> {
    let pid = i32::try_from(pid).ok()?;
    // Some are opened while we look.
    let room = usize::try_from(files).ok()?.saturating_add(64);
    let open = listpidinfo::<ListFDs>(pid, room).ok()?;
    let sockets = open
        .iter()
        .filter(|fd| matches!(fd.proc_fdtype.into(), ProcFDType::Socket));
    Some(
        sockets
            .filter_map(|fd| bound(&pidfdinfo::<SocketFDInfo>(pid, fd.proc_fd).ok()?))
            .collect(),
    )
}

fn bound(socket: &SocketFDInfo) -> Option<(IpAddr, u16)> {
    if !matches!(socket.psi.soi_kind.into(), SocketInfoKind::Tcp) {
        return None;
    }
    // SAFETY: `soi_kind` says that this is the member that the kernel filled.
    let tcp = unsafe { socket.psi.soi_proto.pri_tcp };
    if !matches!(tcp.tcpsi_state.into(), TcpSIState::Listen) {
        return None;
    }
    let local = tcp.tcpsi_ini;
    // In network order, in the low half.
    let [high, low, ..] = local.insi_lport.to_le_bytes();
    let port = u16::from_be_bytes([high, low]);
    // INI_IPV6 of proc_info.h; a socket for both is an IPv6 one.
    let address = if local.insi_vflag & 2 != 0 {
        // SAFETY: both members are sixteen plain bytes, valid whatever they hold.
        let bytes = unsafe { local.insi_laddr.ina_6 }.s6_addr;
        IpAddr::V6(Ipv6Addr::from(bytes))
    } else {
        // SAFETY: as above.
        let word = unsafe { local.insi_laddr.ina_46 }.i46a_addr4.s_addr;
        IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes()))
    };
    Some((address, port))
}
