# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# The Debian 12 packages the project needs, in one place. Sourced by quickstart.sh and test.sh.

build_packages=(
	gcc libc6-dev meson ninja-build pkg-config
	libcurl4-openssl-dev libssl-dev libjansson-dev libarchive-dev
	libevent-dev libcrypt-dev librnp-dev libyaml-dev libsqlite3-dev
)

# What the quickstart makes its sample release with.
demo_packages=(python3)

test_packages=(
	"${demo_packages[@]}" docker-registry curl
	clang clang-format clang-tidy valgrind perl
	apache2-utils openssl skopeo podman buildah nginx-light strace util-linux procps
	exfatprogs exfat-fuse fuse3 zstd git time gpg gpg-agent jq
	libhttp-parser-dev node-llhttp python3-jsonschema python3-yaml
)

# Installs those of the packages given that are missing: as root, or through sudo.
install_packages() {
	local missing=() package as_root=()
	command -v dpkg-query >/dev/null || return 0
	for package; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || {
			echo "please install as root: apt-get install ${missing[*]}" >&2
			return 1
		}
		as_root=(sudo)
	fi
	printf '== install %s\n' "${missing[*]}"
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		"${missing[@]}" >/dev/null
}
