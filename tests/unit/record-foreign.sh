#!/usr/bin/env bash
# Makes tests/unit/foreign.recorded: what foreign.c prints on other architectures, under qemu-user. By hand, when the wire has
# something new to show; the compilers (350 MB) are unpacked into a directory of their own and not installed.
#
#   tests/unit/record-foreign.sh DIRECTORY PROTOBUF_C      with an existing build/, as root or not
#
# DIRECTORY is for the compilers, and kept. PROTOBUF_C is protobuf-c.c of the installed version (1.4.1), from
# https://github.com/protobuf-c/protobuf-c. Of the numbers, only those are kept that differ from this machine's (x86-64).
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(realpath -m "$1") protobuf_c=$(realpath "$2") out=$PWD/tests/unit/foreign.recorded
root=$dir/root/usr
# architecture  Debian's name  qemu's name  C library
machines='
s390x-linux-gnu       s390x   s390x   libc6
mips-linux-gnu        mips    mips    libc6
powerpc-linux-gnu     powerpc ppc     libc6
arm-linux-gnueabihf   armhf   arm     libc6
sparc64-linux-gnu     sparc64 sparc64 libc6
hppa-linux-gnu        hppa    hppa    libc6
alpha-linux-gnu       alpha   alpha   libc6.1
'
sources=(tests/unit/foreign.c proto/values.c proto/values_errno.c proto/values_option.c proto/codec.c proto/frame.c
         build/proto/splitsock.pb-c.c build/proto/values.pb-c.c)
flags=(-std=gnu11 -D_GNU_SOURCE -DFOREIGN_MAIN -O2 -Wall -Wextra -Werror -I. -Ibuild)

mkdir -p "$dir/debs" "$dir/bin"
if [[ ! -d $root ]]; then
    packages=(qemu-user-static)
    while read -r triple name _ libc; do
        [[ -z $triple ]] || packages+=("gcc-12-$triple" "cpp-12-$triple" "binutils-$triple" "$libc-dev-$name-cross"
                                       "$libc-$name-cross" "linux-libc-dev-$name-cross" "libgcc-12-dev-$name-cross")
    done <<<"$machines"
    (cd "$dir/debs" && apt-get download "${packages[@]}")
    for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/root"; done
fi
# Apart, so that protobuf-c.h is found and nothing else of this machine's headers is.
mkdir -p "$dir/include"
cp -r /usr/include/protobuf-c "$dir/include/"
cp "$protobuf_c" "$dir/include/protobuf-c/protobuf-c.c"

gcc "${flags[@]}" "${sources[@]}" -lprotobuf-c -o "$dir/bin/here"
"$dir/bin/here" >"$dir/here.txt"
{
    echo "# Made by record-foreign.sh on $(date -u +%F): see there."
    while read -r triple name qemu libc; do
        [[ -n $triple ]] || continue
        PATH=$root/bin:$PATH LD_LIBRARY_PATH=$root/lib/x86_64-linux-gnu "$root/bin/$triple-gcc-12" -static-libgcc \
            --sysroot="$dir/root" -B"$root/$triple/bin" -B"$root/$triple/lib" -L"$root/$triple/lib" \
            -isystem "$root/$triple/include" -I"$dir/include" "${flags[@]}" "${sources[@]}" "$dir/include/protobuf-c/protobuf-c.c" \
            -o "$dir/bin/$name" || { echo "$name: not compiled" >&2; exit 1; }
        "$root/bin/qemu-$qemu-static" -L "$root/$triple" "$dir/bin/$name" >"$dir/$name.txt"
        echo
        echo "architecture $name"
        grep -E '^(machine|frame|value) ' "$dir/$name.txt"
        grep -vE '^(machine|frame|value) ' "$dir/$name.txt" | grep -vxFf "$dir/here.txt" || true
    done <<<"$machines"
} >"$out"
grep -c . "$out"
