#!/usr/bin/env bash
# From a fresh clone to a working Room Proxy: installs meshproxy into .venv, starts the proxy, makes a key and a token,
# sends one OpenAI-style and one Anthropic-style streaming request through a room, and shows what they used.
# With OPENAI_API_KEY or ANTHROPIC_API_KEY set the real providers answer (and charge), else a built-in echo does.
# It can be run again. Arguments go to `meshproxy serve`, such as --port 9000.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
spec=examples/token-spec.yaml
room=my-room

heading() { printf '\n== %s\n' "$*"; }

# Prints the address and process id of this user's server, if it answers.
running() {
    .venv/bin/python - <<'PY'
import os, sys, urllib.request
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import read_runtime

runtime = read_runtime(Paths.from_environment(os.environ))
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{runtime.url}/healthz", timeout=2).close()
except (AttributeError, OSError):
    sys.exit(1)
print(runtime.url, runtime.pid)
PY
}

start() {
    nohup meshproxy serve "$@" >"$log" 2>&1 </dev/null &
    local attempt
    for attempt in $(seq 150); do
        if running >/dev/null; then
            return
        fi
        kill -0 $! 2>/dev/null || break
        sleep 0.2
    done
    cat "$log" >&2
    return 1
}

scripts/venv proxy
PATH=$PWD/.venv/bin:$PATH

heading "The Room Proxy"
if running >/dev/null; then
    echo "is running already"
else
    log=$(mktemp -t meshproxy-serve.XXXXXX)
    start "$@"
    cat "$log"
    echo "(its log goes on in $log)"
fi
read -r url pid <<<"$(running)"

heading "An API key, kept where secrets are kept, and a participant token signed with it"
meshproxy token get --room "$room" >/dev/null 2>&1 || meshproxy api-key create quickstart --activate --silent
meshproxy token generate --spec "$spec" | meshproxy token inspect -

heading "One prompt through the room, OpenAI-style and Anthropic-style"
eval "$(meshproxy env --room "$room" --shell bash)"
.venv/bin/python examples/ask.py "Say hello."

heading "What it used"
for attempt in $(seq 20); do
    meshproxy usage --json 2>/dev/null | grep -q "\"$room\"" && break
    sleep 0.2
done
meshproxy usage

cat <<TXT

The room is ready at $url/rooms/$room. Next, with the agents that you have:

    .venv/bin/meshproxy configure codex --room $room     then: codex --profile meshproxy
    .venv/bin/meshproxy configure claude --room $room    then: claude

Stop the proxy with: kill $pid
TXT
