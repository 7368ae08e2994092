//! The block of strings that macOS keeps of a process (`KERN_PROCARGS2`). Pure; a block that it
//! does not understand is none.

/// The arguments, and the environment with a NUL after each variable.
pub(super) fn split(block: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let (count, rest) = block.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    // The executable's path, then NULs up to a boundary.
    let end = rest.iter().position(|byte| *byte == 0)?;
    let rest = rest.get(end..)?;
    let begin = rest
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(rest.len());
    let mut rest = rest.get(begin..)?;
    let mut arguments = Vec::new();
    while arguments.len() < count {
        let end = rest.iter().position(|byte| *byte == 0)?;
        arguments.push(rest.get(..end)?);
        rest = rest.get(end + 1..)?;
    }
    // An empty string ends the environment; what the kernel tells the program follows it.
    let end = rest
        .windows(2)
        .position(|pair| pair == [0, 0])
        .map_or(rest.len(), |at| at + 1);
    let environment = if rest.first() == Some(&0) {
        &[]
    } else {
        rest.get(..end)?
    };
    Some((arguments, environment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(count: i32, rest: &[u8]) -> Vec<u8> {
        [&count.to_ne_bytes(), rest].concat()
    }

    #[test]
    fn arguments_and_environment_are_told_apart() {
        let one = block(3, b"/bin/sh\0\0\0\0sh\0-c\0\0A=1\0B=a b\0\0ptr_munge=\0");
        let (arguments, environment) = split(&one).unwrap();
        assert_eq!(arguments, [&b"sh"[..], b"-c", b""]);
        assert_eq!(environment, b"A=1\0B=a b\0");
        let bare = block(1, b"/bin/sh\0sh\0\0executable_path=/bin/sh\0");
        assert_eq!(split(&bare).unwrap(), (vec![&b"sh"[..]], &b""[..]));
    }

    #[test]
    fn a_block_that_ends_early_is_none() {
        assert_eq!(split(b""), None);
        assert_eq!(split(&block(-1, b"/bin/sh\0sh\0")), None);
        assert_eq!(split(&block(2, b"/bin/sh\0\0sh\0")), None);
        assert_eq!(split(&block(i32::MAX, b"/bin/sh\0\0sh\0")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>) {
            let _ = split(&bytes);
        }
    }
}
