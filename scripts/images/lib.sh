# How images are made from Debian packages: a package and all it depends on are downloaded (not installed), unpacked
# into an empty directory, and put as one layer into an OCI layout. Sourced, never run.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

IMAGES=${STEERSMAN_IMAGES:-$CACHE/images}
# Documentation, translations and package bookkeeping are of no use in an image.
UNWANTED=(usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bug var/lib/dpkg)

# Unpacks Debian packages with their dependencies into a directory: debs_into DIR PACKAGE...
debs_into() {
    local root=$1 archives deb
    shift
    archives=$(mktemp -d)
    mkdir -p "$archives/partial" "$root"
    : >"$archives/status" # no package counts as installed, so every dependency is downloaded
    apt-get install --yes -qq --download-only --no-install-recommends -o APT::Sandbox::User= -o Debug::NoLocking=1 \
        -o Dir::Cache::archives="$archives" -o Dir::State::status="$archives/status" "$@" >&2
    # As packages before merged /usr do not own these, unpacking must find the links.
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
    for deb in bin sbin lib lib64; do [ -e "$root/$deb" ] || ln -s "usr/$deb" "$root/$deb"; done
    for deb in "$archives"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink --no-same-owner --directory "$root"
    done
    for deb in "${UNWANTED[@]}"; do rm -rf "${root:?}/$deb"; done
    rm -rf "$archives"
}

# The files every image has: a shell and its tools, users, and the directories programs expect.
base_files() {
    local root=$1
    shift
    debs_into "$root" busybox-static "$@"
    mkdir -p "$root"/{etc,tmp,run,proc,sys,dev,root,var/log}
    chmod 1777 "$root/tmp"
    # Every tool that the image does not have in full.
    "$root/bin/busybox" --list | while read -r tool; do
        [ -e "$root/bin/$tool" ] || [ -e "$root/sbin/$tool" ] || ln -s busybox "$root/bin/$tool"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

# Adds a system user: add_user DIR NAME ID
add_user() {
    printf '%s:x:%s:%s::/:/bin/false\n' "$2" "$3" "$3" >>"$1/etc/passwd"
    printf '%s:x:%s:\n' "$2" "$3" >>"$1/etc/group"
}

# Where the image that a script makes is: the recipe is in the name, so that versions of this project do not disturb
# each other, and an image whose recipe changes is made again. layout NAME
layout() {
    local recipe
    recipe=$(cat "$ROOT/scripts/images/$1" "$ROOT/scripts/images/lib.sh" | sha256sum)
    printf '%s/%s-%s\n' "$IMAGES" "$1" "${recipe:0:12}"
}

# Writes an image into the layout that is being made: write_image TAG DIR [option of `umoci config`]...
write_image() {
    local image=$LAYOUT:$1 root=$2
    shift 2
    umoci new --image "$image" >&2
    umoci insert --image "$image" "$root" / >&2
    umoci config --image "$image" "$@" >&2
}

# Runs a function with an empty directory for the image's files, unless the image is made: make_image NAME FUNCTION
# The layout gets its name when it is complete.
make_image() {
    local work made
    made=$(layout "$1")
    mkdir -p "$IMAGES"
    exec 9>"$made.lock"
    flock 9
    [ ! -d "$made" ] || return 0
    say "making the image $1"
    work=$(mktemp -d)
    LAYOUT=$work/layout
    umoci init --layout "$LAYOUT" >&2
    mkdir "$work/files"
    "$2" "$work/files"
    mv "$LAYOUT" "$made"
    rm -rf "$work"
}
