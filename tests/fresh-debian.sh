#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves on a bare Debian 12 that a clone of this repository needs nothing but git and CA
# certificates: quickstart.sh, then test.sh, in a chroot made by debootstrap. Prints TAP.
#
#   tests/fresh-debian.sh [--keep] [--quickstart-only]     as root
#
# The mirror is the one this machine's apt uses. FRESH_DIR (default /var/tmp) holds the chroot.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

skip() {
	echo "1..0 # SKIP long: runs with --full; $*"
	exit 0
}

keep=no scripts=(./quickstart.sh ./test.sh)
for a; do
	case $a in
	--keep) keep=yes ;;
	--quickstart-only) scripts=(./quickstart.sh) ;;
	esac
done

mirror_of_this_machine() {
	local line
	line=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*\) .*main.*/\2/p' | grep -v security | head -n 1)
	[ -n "$line" ] || line=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -n 's/^URIs: *\(http[^ ]*\).*/\1/p' | grep -v security | head -n 1)
	printf '%s' "$line"
}

[ "$(id -u)" -eq 0 ] || skip 'debootstrap wants root'
command -v debootstrap >/dev/null || PATH=$PATH:/usr/sbin
command -v debootstrap >/dev/null || skip 'debootstrap is not installed'
mirror=$(mirror_of_this_machine)
[ -n "$mirror" ] || skip 'no Debian mirror in /etc/apt'

root=$(mktemp -d "${FRESH_DIR:-/var/tmp}/fresh-debian.XXXXXX")
chmod 755 "$root" # it becomes a /, which other users may enter
cleanup() {
	umount -R "$root" 2>/dev/null
	[ $keep = yes ] && echo "# kept: $root" || rm -rf --one-file-system "$root"
}
trap cleanup EXIT

if ! debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" "$mirror" >"$root.log" 2>&1; then
	tail -n 5 "$root.log" | sed 's/^/# /'
	rm -f "$root.log"
	skip "debootstrap cannot reach $mirror"
fi
rm -f "$root.log"

# A mount point, or podman cannot pivot inside.
mount --bind "$root" "$root" && mount --make-private "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys" && mount --make-rslave "$root/sys"
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp -r /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/preferences.d /etc/apt/auth.conf.d \
	"$root/etc/apt/" 2>/dev/null
[ ! -d /usr/local/share/ca-certificates ] || cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
chroot "$root" update-ca-certificates >/dev/null 2>&1

git clone -q --no-local . "$root/ferry"
echo "1..${#scripts[@]}"
number=0 failed=0
for script in "${scripts[@]}"; do
	number=$((number + 1))
	if chroot "$root" env -i HOME=/root TERM=dumb LANG=C.UTF-8 CI="${CI:-}" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
		bash -c "cd /ferry && $script" </dev/null >"$root/script.log" 2>&1; then
		echo "ok $number - $script on a bare Debian 12"
	else
		tail -n 60 "$root/script.log" | sed 's/^/# /'
		echo "not ok $number - $script on a bare Debian 12"
		failed=1
	fi
	[ $keep = no ] || cp "$root/script.log" "$root/$(basename "$script").log"
done
exit $failed
