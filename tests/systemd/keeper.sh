#!/bin/bash
# Keeps one box: a real systemd as PID 1 in namespaces of its own, over a throwaway overlay of this
# machine's root. Runs in a private mount namespace (`unshare --mount`), whose tmpfs holds everything
# that the box writes, so nothing is left when this process ends. Reads verbs from stdin, one a line:
#   boot    boots the box (again: kills it first, as a power cut does; the same root comes back)
# and answers `up PID` or `failed REASON` on stdout. End of input, which is also what the death of the
# creator looks like, ends the box.
#   $1  the binary to show in the box as /usr/local/bin/parachute
#   $2  the test binary, shown as /usr/local/bin/it
set -u
cgroups=/mnt/cgroup disk=/mnt/disk root=/mnt/root
outer='' pid=''

mount --make-rprivate /
# Held open: the tmpfs might hide them.
exec 8<"$1" 9<"$2"
mount -t tmpfs -o mode=755 tmpfs /mnt || { echo "failed tmpfs"; exit 1; }
mkdir -p $cgroups $root $disk/upper $disk/work
touch /mnt/parachute /mnt/it
mount --bind /proc/self/fd/8 /mnt/parachute
mount --bind /proc/self/fd/9 /mnt/it
exec 8<&- 9<&-
mount -t cgroup2 cgroup2 $cgroups || { echo "failed cgroup2"; exit 1; }

# Each box has a cgroup of its own: two systemds in one would kill each other's processes.
cgroup=$cgroups/parachute-box-$$
for stale in "$cgroups"/parachute-box-*; do
  [ -d "$stale" ] && ! kill -0 "${stale##*-}" 2>/dev/null && find "$stale" -depth -type d -exec rmdir {} + 2>/dev/null
done

# A script for another shell.
# shellcheck disable=SC2016
init='
set -e
root=$1 disk=$2 boot_id=$3
mount --make-rprivate /
ip link set lo up
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$root"
read -r pid _ </proc/self/stat
echo "$pid" >/mnt/pid
mount -t proc proc "$root/proc"
mount --bind "$boot_id" "$root/proc/sys/kernel/random/boot_id"
mount --rbind /sys "$root/sys"
umount -R "$root/sys/fs/cgroup" 2>/dev/null || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
etc=$root/etc/systemd/system
if [ ! -e "$root/etc/parachute-box" ]; then
  rm -rf "$etc"/*.wants "$etc"/parachute* "$root"/etc/systemd/user/*.wants
  for unit in console-getty.service getty.target systemd-udevd.service systemd-timesyncd.service; do
    ln -sf /dev/null "$etc/$unit"
  done
  rm -rf "$root/var/lib/systemd/linger" "$root/var/log/journal"
  mkdir "$root/var/log/journal"
  rm -f "$root"/usr/local/bin/{parachute,it}
  touch "$root/etc/parachute-box" "$root"/usr/local/bin/{parachute,it}
fi
mount --bind /mnt/parachute "$root/usr/local/bin/parachute"
mount --bind /mnt/it "$root/usr/local/bin/it"
exec chroot "$root" env -i container=parachute-box \
  /lib/systemd/systemd --system --log-target=journal --unit=multi-user.target
'

down() {
  [ -n "$outer" ] || return 0
  # Killing its PID 1 ends a namespace; `unshare` then reaps it and ends too.
  kill -9 "${pid:-$outer}" 2>/dev/null
  wait "$outer" 2>/dev/null
  outer='' pid=''
  # Its processes are dead, but it takes the kernel a moment to empty their cgroups.
  for _ in $(seq 200); do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$cgroup" ] || break
    sleep 0.02
  done
}

inside() {
  nsenter -t "$pid" -a -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}

boot() {
  down
  rm -f /mnt/pid
  cat /proc/sys/kernel/random/uuid >/mnt/boot_id
  mkdir "$cgroup" || { echo "failed cgroup"; return; }
  (
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    exec unshare --pid --mount --uts --ipc --cgroup --net --fork --kill-child \
      bash -c "$init" init "$root" "$disk" /mnt/boot_id
  ) </dev/null >/mnt/log 2>&1 &
  outer=$!
  for _ in $(seq 600); do
    if ! kill -0 "$outer" 2>/dev/null; then
      outer=''
      echo "failed $(tr '\n' ' ' </mnt/log)"
      return
    fi
    if [ -s /mnt/pid ]; then
      pid=$(cat /mnt/pid)
      case $(inside systemctl is-system-running --wait 2>/dev/null) in
        running | degraded)
          echo "$outer" >"$cgroups/cgroup.procs"
          echo "up $pid"
          return ;;
      esac
    fi
    sleep 0.05
  done
  echo "failed not up in time: $(tr '\n' ' ' </mnt/log)"
}

trap down EXIT
trap 'exit 1' TERM INT HUP
while read -r verb; do
  case $verb in
    boot) boot ;;
    *) echo "failed no verb $verb" ;;
  esac
done
