#!/bin/sh
# Puts `parachute` on this machine, from a release's tarball. Asks nothing and needs no root: it goes
# into ~/.local, or where --prefix says. Run as root with --system it does what a package does.
#
#   install.sh [--prefix DIR] [--system] [--from URL-OR-DIR] [--version V] [--uninstall]
#
# --prefix     default: ~/.local; with --system /usr/local
# --system     the hub as a service of this machine too, with the box /var/lib/parachute (needs root)
# --from       where the tarball and SHA256SUMS are: a folder, or an https address
# --version    which release, with --from
# --uninstall  take away what this script has put there; boxes stay
#
# From an unpacked tarball it installs the files beside it. With --from it fetches, and installs only
# what agrees with its checksum.
set -eu

say() { printf 'parachute: %s\n' "$*"; }
die() { printf 'parachute: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '5,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }

prefix='' system='' from='' version='' uninstall=''
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -gt 1 ] || usage; prefix=$2; shift 2 ;;
    --from) [ $# -gt 1 ] || usage; from=$2; shift 2 ;;
    --version) [ $# -gt 1 ] || usage; version=$2; shift 2 ;;
    --system) system=yes; shift ;;
    --uninstall) uninstall=yes; shift ;;
    *) usage ;;
    esac
done
if [ -n "$system" ]; then
    [ "$(id -u)" = 0 ] || die "--system changes the machine: run it as root"
    prefix=${prefix:-/usr/local}
else
    prefix=${prefix:-${HOME:?}/.local}
fi
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
unit=/etc/systemd/system/parachute-hub.service
# What was put where, for the day it is to go: module packages have files of similar names.
list=$prefix/share/doc/parachute/files

if [ -n "$uninstall" ]; then
    program=$prefix/bin/parachute
    [ -x "$program" ] || die "$program is not there"
    if [ -n "$system" ] && [ -e "$unit" ]; then
        "$program" uninstall-unit || die "the hub could not be stopped: nothing was removed"
    fi
    [ -f "$list" ] || die "$list is not there: this script did not install it, or an older one did"
    while IFS= read -r file; do
        rm -f "$prefix/$file"
    done <"$list"
    rm -f "$list"
    rmdir "${list%/*}" 2>/dev/null || true
    say "gone from $prefix; boxes stay"
    exit 0
fi

# Argument: a file's name. Copies it from --from into the folder we are in.
fetch() {
    case $from in
    https://*)
        if command -v curl >/dev/null; then
            curl --proto '=https' --tlsv1.2 -fsSL -o "$1" "$from/$1"
        else
            wget -q --https-only -O "$1" "$from/$1"
        fi || die "cannot fetch $from/$1"
        ;;
    *://*) die "--from takes a folder or an https address" ;;
    *) cp "$from/$1" "$1" || die "$from has no $1" ;;
    esac
}

# Prints a file's SHA-256.
sum() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1"
    else
        shasum -a 256 "$1"
    fi | cut -d ' ' -f 1
}

temp=''
trap '[ -z "$temp" ] || rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
if [ -n "$from" ]; then
    [ -n "$version" ] || die "which release? --version V"
    [ "$(uname -s)" = Linux ] || die "tarballs are for Linux; on macOS: brew install parachute"
    case $(uname -m) in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) die "there is no tarball for $(uname -m); \`cargo install\` builds one" ;;
    esac
    case $from in
    /* | *://*) ;;
    *) from=$PWD/$from ;;
    esac
    temp=$(mktemp -d)
    cd "$temp"
    name=parachute-$version-$machine-linux
    fetch SHA256SUMS
    fetch "$name.tar.gz"
    wanted=$(awk -v name="$name.tar.gz" '$2 == name || $2 == "*" name { print $1 }' SHA256SUMS)
    [ -n "$wanted" ] || die "SHA256SUMS has no line for $name.tar.gz"
    [ "$(sum "$name.tar.gz")" = "$wanted" ] || die "$name.tar.gz is not what SHA256SUMS says: not installed"
    tar -xzf "$name.tar.gz"
    here=$temp/$name
else
    here=$(cd "$(dirname "$0")" && pwd)
    [ -x "$here/parachute" ] || die "no program beside this script; give --from"
fi

# Arguments: mode, file, place. A program that runs is replaced, not written into.
put() {
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
    case $3 in
    "$prefix"/*)
        grep -qxF "${3#"$prefix"/}" "$list" 2>/dev/null || printf '%s\n' "${3#"$prefix"/}" >>"$list"
        ;;
    esac
}

"$here/parachute" --version >/dev/null || die "the program does not run on this machine"
mkdir -p "${list%/*}"
put 0755 "$here/parachute" "$prefix/bin/parachute"
for page in "$here"/man/*.1.gz; do
    put 0644 "$page" "$prefix/share/man/man1/${page##*/}"
done
put 0644 "$here/completions/parachute.bash" "$prefix/share/bash-completion/completions/parachute"
put 0644 "$here/completions/_parachute" "$prefix/share/zsh/site-functions/_parachute"
put 0644 "$here/completions/parachute.fish" "$prefix/share/fish/vendor_completions.d/parachute.fish"
for text in "$here"/licences/*; do
    put 0644 "$text" "$prefix/share/doc/parachute/${text##*/}"
done
say "$("$prefix/bin/parachute" --version) is in $prefix/bin"
case :$PATH: in
*":$prefix/bin:"*) ;;
*) say "$prefix/bin is not on your PATH" ;;
esac

if [ -z "$system" ]; then
    say "\`parachute init\` makes the hub a service of yours; see \`parachute --help\`"
    exit 0
fi
box=/var/lib/parachute
systemd-sysusers "$here/systemd/sysusers.conf"
systemd-tmpfiles --create "$here/systemd/tmpfiles.conf"
if ! [ -e "$unit" ]; then
    "$prefix/bin/parachute" --home "$box" init --run-as parachute
else
    # A newer release: a hub that runs gets it, one that was stopped stays so.
    "$prefix/bin/parachute" --home "$box" init --run-as parachute --no-start
    if systemctl --quiet is-active parachute-hub.service; then
        "$prefix/bin/parachute" --home "$box" restart hub
    fi
fi
