# SPDX-License-Identifier: Apache-2.0
# What the setup, cmd and post snippets of golden cases may use.
mkauth() { # FILE HOST USER PASSWORD [HOST USER PASSWORD ...]
	local file=$1 separator='' auth
	shift
	{
		printf '{\n  "auths": {'
		while [ $# -ge 3 ]; do
			auth=$(printf %s "$2:$3" | base64 -w0)
			printf '%s\n    "%s": {\n      "auth": "%s",\n      "email": "you@example.com"\n    }' "$separator" "$1" "$auth"
			separator=,
			shift 3
		done
		printf '\n  }\n}'
	} >"$file"
}

digest_of() { # NAME in payload.json
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$RUN/payload.json" "$1"
}

wait_port() {
	until (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do :; done
}
