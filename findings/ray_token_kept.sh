#!/usr/bin/env bash
# Tried: Ray 2.60.0 on one machine and a home folder of its own. A cluster is started and joined by the two commands of
# Ray's manual, `ray start --head` and `ray start --address`; once before and once after a script of the same account
# has called ray.init() without arguments.
# Expected: the script changes nothing for clusters that are started later; or it does, and both commands know.
# What happens: ray.init() leaves a token in the home folder. From then on `ray start --head` makes a cluster that asks
# for it, while `ray start --address`, of the same account and with the same file at hand, sends none and is refused.
# With RAY_AUTH_MODE=token in the environment it is let in.
# Why it matters: a job script for a cluster works until its user has once tried something on a login node, and then
# fails on all machines but the first.
set -euo pipefail
tmp=$(mktemp -d)
clean() { "$tmp/venv/bin/ray" stop --force > "$tmp/stop" 2>&1 || true; rm -rf "$tmp"; }
trap clean EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet ray==2.60.0
export HOME="$tmp/home" RAY_USAGE_STATS_ENABLED=0
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH
mkdir "$HOME"
ray="$tmp/venv/bin/ray"
port=46380

joined() {
    "$ray" start --head --port="$port" --num-cpus=1 --include-dashboard=false > "$tmp/head" 2>&1
    if "$ray" start --address="127.0.0.1:$port" --num-cpus=1 > "$tmp/join" 2>&1; then answer=yes; else answer=no; fi
    "$ray" stop --force > "$tmp/stop" 2>&1
    port=$((port + 1))
    echo "$answer"
}

"$ray" --version
before=$(joined)
echo "before any ray.init(): joined: $before, token in the home folder: $(test -e "$HOME/.ray/auth_token" && echo yes || echo no)"
"$tmp/venv/bin/python" -I -c 'import ray; ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR"); ray.shutdown()' 2> "$tmp/init"
kept=$(test -e "$HOME/.ray/auth_token" && echo yes || echo no)
after=$(joined)
refusal=$(grep -c "InvalidAuthToken" "$tmp/join" || true)
echo "after one: token in the home folder: $kept, joined: $after, lines with InvalidAuthToken: $((refusal > 0 ? 1 : 0)) or more"
export RAY_AUTH_MODE=token
named=$(joined)
echo "with RAY_AUTH_MODE=token: joined: $named"
test "$before $kept $after $named" = "yes yes no yes"
test "$refusal" -gt 0
