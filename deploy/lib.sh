# shellcheck shell=bash
# What the scripts beside this file share. Sourced, with `set -euo pipefail` in force.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian packages: to build and run ringside, and what the tests need besides.
run_packages=(build-essential cmake pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libsrt-gnutls-dev
  libswscale-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  gstreamer1.0-libav gstreamer1.0-x fonts-dejavu-core)
test_packages=(chromium curl ffmpeg gstreamer1.0-tools obs-studio obs-plugins python3-venv xvfb)

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf 'ringside: %s\n' "$*" >&2; exit 1; }

# Installs the Debian packages that are missing; with sudo where this is not root.
install_packages() {
  local missing=() package sudo=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "sudo is missing; as root run: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive ${RUNLEVEL:+RUNLEVEL=$RUNLEVEL} apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_cargo() {
  command -v cargo >/dev/null && return
  [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH" && return
  die "cargo is missing: install Rust 1.92 or newer with rustup, then run this again"
}

# Node 18 or newer with npm, Debian's where there is none.
need_node() {
  command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
  node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' || die "node $(node --version) is too old: 18 or newer is needed"
}

# Installs a folder's npm packages from its lock file, unless they are there as locked.
npm_install() {
  (cd "$1" && if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
    cp package-lock.json node_modules/.installed
  fi)
}

# The watch page and the report of a drill, which are embedded in the binary.
build_page() {
  local page
  need_node
  for page in fanout/player loadtest/page; do
    npm_install "$root/$page"
    (cd "$root/$page" && npm run --silent build >&2)
  done
}

target_dir() { printf '%s' "${CARGO_TARGET_DIR:-$root/target}"; }

# start_up DIR [args]: starts `ringside up` on free loopback ports and waits for its up.json; the pid is in $up.
start_up() {
  local dir=$1 listen=(ingest.rtmp ingest.rtmps ingest.srt edge.http edge.https ops origin packager.feed) set=() name
  shift
  for name in "${listen[@]}"; do set+=(--set "$name.listen=127.0.0.1:0"); done
  mkdir -p "$dir"
  "$binary" up --set "data.dir=$dir" "${set[@]}" "$@" >"$dir/up.log" 2>&1 &
  up=$!
  for _ in $(seq 300); do
    [ -f "$dir/up.json" ] && return
    kill -0 "$up" 2>/dev/null || break
    sleep 0.1
  done
  cat "$dir/up.log" >&2
  die "ringside did not come up"
}

# stop_up: ends what start_up started, and fails unless it ended cleanly.
stop_up() {
  local pid=$up status=0
  up=
  kill "$pid" 2>/dev/null || true
  wait "$pid" || status=$?
  [ "$status" -eq 0 ] || die "ringside ended with status $status"
}

# field FILE NAME: a text field of an up.json.
field() { sed -n "s/^ *\"$2\": \"\(.*\)\",\{0,1\}$/\1/p" "$1"; }

# How long tasks waited for a core, in percent of the last ten seconds.
pressure() { sed -n 's/^some avg10=\([0-9.]*\).*/\1/p' /proc/pressure/cpu 2>/dev/null || echo '?'; }

# quiet: waits a minute at most for the machine to be quiet; says how quiet it is. A figure from a starved one is not valid.
quiet() {
  for _ in $(seq 60); do
    awk -v p="$(pressure)" 'BEGIN { exit !(p < 10) }' && break
    sleep 1
  done
  awk -v p="$(pressure)" 'BEGIN { print "CPU pressure before: " p (p < 20 ? "" : ", INVALID: starved") }'
}

# machine: date and machine of a figure taken with a release build.
machine() {
  local model
  model=$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)
  printf '%s: %s cores, %s, %s, release build' "$(date -u +%Y-%m-%d)" "$(nproc)" "${model:-unknown processor}" \
    "$(awk '/MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo)"
}
