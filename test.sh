#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds ferry in every way it is tested in, and runs the tests through prove.
#
#   ./test.sh                 everything that fits into 20 minutes on two cores
#   ./test.sh --full          adds valgrind, clang-tidy, 20 kills, blobs above 4 GiB, a bare Debian 12
#   ./test.sh --only PATTERN  tests whose path contains PATTERN (repeatable), after the builds they need
#   ./test.sh --no-install    never calls apt-get
#
# A bare Debian 12 is enough: as root, or with sudo, missing packages are installed.
# build/ release, build-asan/ ASan+UBSan, build-tsan/ TSan (unit tests of the threaded folders), build-clang/.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh

full=no install=yes only=()
while [ $# -gt 0 ]; do
	case $1 in
	--full) full=yes ;;
	--only) only+=("${2:?--only wants a pattern}") && shift ;;
	--no-install) install=no ;;
	-h | --help) sed -n '3,12s/^# \{0,1\}//p' "$0" && exit 0 ;;
	*) echo "test.sh: unknown option '$1'" >&2 && exit 2 ;;
	esac
	shift
done

step() {
	printf '== %s\n' "$*"
}

# Runs quietly; shows what was said when it fails.
quietly() {
	local log
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		echo "test.sh: failed: $*" >&2
		exit 1
	fi
	rm -f "$log"
}

setup() { # DIRECTORY COMPILER [MESON OPTIONS...]
	local dir=$1 compiler=$2
	shift 2
	step "build $dir"
	[ -f "$dir/build.ninja" ] || quietly env CC="$compiler" meson setup "$dir" "$@"
}

compile() { # DIRECTORY [TARGETS...]
	local dir=$1
	shift
	quietly ninja --quiet -C "$dir" -k 0 "$@"
}

# Test programs as meson knows them, all or those of some folders; their arguments and environment go
# to DIRECTORY/tests.json, where tests/tap-exec finds them.
unit_tests() { # DIRECTORY [FOLDER...]
	python3 - "$@" <<-'P'
		import json, os, subprocess, sys
		top, folders = sys.argv[1], sys.argv[2:]
		tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", top]))
		known = {os.path.relpath(t["cmd"][0]): {"arguments": t["cmd"][1:], "environment": t["env"]} for t in tests}
		with open(os.path.join(top, "tests.json"), "w") as f:
		    json.dump(known, f)
		print("\n".join(p for p in sorted(known) if not folders or any("/unit/%s/" % f in p for f in folders)))
	P
}

[ $install = no ] || install_packages "${build_packages[@]}" "${test_packages[@]}"

threaded=(util net transfer store repo registry serve)
setup build gcc
compile build
setup build-asan gcc -Db_sanitize=address,undefined -Db_lundef=false
compile build-asan
setup build-tsan gcc -Db_sanitize=thread -Db_lundef=false
compile build-tsan
setup build-clang clang
compile build-clang

mapfile -t asan < <(unit_tests build-asan)
mapfile -t tsan < <(unit_tests build-tsan "${threaded[@]}")
tests=(tests/include_test tests/format_test "${asan[@]}" "${tsan[@]}" tests/e2e/*.t)
if [ $full = yes ]; then
	export FERRY_TEST_FULL=1 TEST_TIMEOUT=3600
	tests+=(tests/tidy_test tests/fresh-debian.sh)
fi
if [ ${#only[@]} -gt 0 ]; then
	chosen=()
	for t in "${tests[@]}"; do
		for pattern in "${only[@]}"; do
			[[ $t != *$pattern* ]] || { chosen+=("$t") && break; }
		done
	done
	tests=("${chosen[@]}")
fi
[ ${#tests[@]} -gt 0 ] || { echo 'test.sh: no test has such a name' >&2 && exit 2; }

export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export FERRY=$PWD/build-asan/ferry FERRY_PLAIN=$PWD/build/ferry
step 'test'
exec prove --jobs 2 --timer --exec tests/tap-exec "${tests[@]}"
