#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a bare Debian 12 to a mirrored release: installs what is missing, builds ferry, then does the
# job that ferry is for, with a small sample release between two of its registries on this machine.
# Needs root or sudo only where packages are missing. Everything it starts, it stops again.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh

VERSION=4.12.0
RELEASE=$VERSION-x86_64
REPOSITORY=openshift-release-dev/ocp-release
work=$(mktemp -d "${TMPDIR:-/tmp}/ferry-quickstart.XXXXXX")
servers=()

finish() {
	local status=$?
	if [ ${#servers[@]} -gt 0 ]; then
		kill "${servers[@]}" 2>/dev/null || true
		wait "${servers[@]}" 2>/dev/null || true
	fi
	rm -rf "$work"
	[ $status -eq 0 ] || printf '\nquickstart.sh: stopped with status %d\n' "$status" >&2
}
trap finish EXIT

if [ -t 1 ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
	bold='' plain=''
fi

say() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Two lines of each kind that comes by the hundred, then how many more there were.
thin_out() {
	awk '{
		kind = $1 ~ /^sha256:/ ? "images" : $1 == "uploading:" ? "blobs" : $0 ~ /^info: and [0-9]+ more blobs/ ? "hidden" : ""
		if (kind == "hidden") { more["blobs"] += $3; next }
		if (kind != "" && ++shown[kind] > 2) { more[kind]++; last = kind; next }
		rest(); print "    " $0; fflush()
	}
	function rest(k) {
		for (k in more) { print "    … and " more[k] " more " k; delete more[k] }
	}
	END { rest() }'
}

# Shows a command the way one would type it, then runs it. On a terminal its progress display stays.
run() {
	local word line=''
	for word; do
		case $word in
		*[\ \*\$]*) line+=" '$word'" ;;
		*) line+=" $word" ;;
		esac
	done
	printf '\n  $%s\n\n' "$line"
	if [ -t 2 ]; then
		"$@" | thin_out
	else
		local status=0
		"$@" >"$work/out" 2>"$work/err" || status=$?
		thin_out <"$work/err"
		thin_out <"$work/out"
		return $status
	fi
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts one of ferry's registries and returns when it serves: its first line then says so.
registry() { # NAME ARGUMENTS...
	local log=$work/$1.log
	shift
	: >"$log"
	ferry registry serve --access-log=none "$@" 2>"$log" &
	servers+=($!)
	until grep -q '^serving ' "$log"; do
		kill -0 "${servers[-1]}" 2>/dev/null || {
			cat "$log" >&2
			echo "quickstart.sh: the registry does not start" >&2
			exit 1
		}
		sleep 0.1
	done
}

install_packages "${build_packages[@]}" "${demo_packages[@]}"

say '1. Build ferry'
[ -f build/build.ninja ] || meson setup build >"$work/build.log" 2>&1 || { cat "$work/build.log" && exit 1; }
ninja -C build ferry >"$work/build.log" 2>&1 || { cat "$work/build.log" && exit 1; }
PATH=$PWD/build:$PATH
echo "   ./build/ferry: $(ferry version | head -n 1)"

say "2. A release to mirror: OpenShift $VERSION with its 183 components, in small, on this machine"
quay=127.0.0.1:$(free_port)
python3 bench/corpus.py sample "$work/quay" "$quay" --tree | sed 's/^/   /'
registry quay --listen="$quay" "$work/quay"
echo "   $quay plays quay.io"

cd "$work"
say '3. On the connected side: the release goes to a folder, which could be a disk to carry'
run ferry adm release mirror --insecure --from="$quay/$REPOSITORY:$RELEASE" --to-dir=mirror
printf '\n    on the disk: %s\n' "$(du -sh mirror | cut -f1)"

say '4. On the disconnected side: a mirror registry, and from the folder into it'
registry mirror --listen=127.0.0.1:0 --dir=registry
mirror=$(sed -n 's|^serving .* on http://||p' mirror.log)
printf '\n  $ ferry registry serve --listen=%s --dir=registry &\n\n' "$mirror"
sed 's/^/    /' mirror.log
run ferry image mirror --insecure --from-dir=mirror "file://openshift/release:$RELEASE*" "$mirror/ocp4/openshift4"
printf '\n    in the registry: %s\n' "$(du -sh registry | cut -f1)"

say '5. Or, without a second copy: the folder served as it is'
registry place --listen=127.0.0.1:0 mirror
place=$(sed -n 's|^serving .* on http://||p' place.log)
printf '\n  $ ferry registry serve --listen=%s mirror &\n\n' "$place"
sed 's/^/    /' place.log
run ferry image mirror --insecure "$place/openshift/release:$RELEASE" file://release --dir=pulled

say 'That is all. The section in step 4 goes into install-config.yaml of the cluster to be installed.'
echo "   ./build/ferry --help and README.md say more."
