#!/usr/bin/env bash
# Measures what a cluster costs: time to node Ready, idle memory and CPU, pod start, build time, binary size. Prints the
# rows of benches/RESULTS.md. Needs root, the machine for itself, and a release build (make up makes one).
#
#   benches/footprint.sh [--build]     --build also measures a release build from nothing, which takes minutes
#
# RUNS (5) is how often a cluster is started, PODS (20) how many pods are started one after another, IDLE (60) the
# seconds of idling, STEERSMAN the binary, PORT (6443) the API's port.
. "$(dirname "$0")/../scripts/lib.sh"

RUNS=${RUNS:-5}
PODS=${PODS:-20}
IDLE=${IDLE:-60}
PORT=${PORT:-6443}
need_rust
STEERSMAN=$(realpath "${STEERSMAN:-$(binary release)}")
WORK=$(mktemp -d /tmp/steersman-footprint-XXXX)
DATA=$WORK/data

row() { printf '| %s | %s |\n' "$1" "$2"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
now_ms() { date +%s%3N; }
up() { "$STEERSMAN" up --detach --data-dir "$DATA" --api-port "$PORT" "$@" >>"$WORK/log" 2>&1 || die "up failed: $(tail "$WORK/log")"; }
down() { "$STEERSMAN" down --data-dir "$DATA" "$@" >>"$WORK/log" 2>&1 || die "down failed: $(tail "$WORK/log")"; }
kubectl_() { kubectl --kubeconfig "$DATA/admin.kubeconfig" "$@"; }

cleanup() {
    if [ -e "$DATA" ]; then "$STEERSMAN" down --purge --data-dir "$DATA" >&2; fi
    rm -rf "$WORK"
}

# Processes that run the measured binary: the cluster and the shims of pods.
processes() {
    local exe
    for exe in /proc/[0-9]*/exe; do
        if [ "$(readlink "$exe" 2>/dev/null)" = "$STEERSMAN" ]; then basename "${exe%/exe}"; fi
    done
}

# Proportional set size of all processes, in kB.
memory_kb() {
    local pid
    for pid in $(processes); do cat "/proc/$pid/smaps_rollup"; done | awk '/^Pss:/ { sum += $2 } END { print sum + 0 }'
}

# CPU time of all processes since they started, in clock ticks.
cpu_ticks() {
    local pid
    for pid in $(processes); do sed 's/.*) //' "/proc/$pid/stat"; done | awk '{ sum += $12 + $13 } END { print sum + 0 }'
}

# From the command to its return, which is when the node is Ready and DNS answers; $1 is `--purge` for an empty disk.
time_to_ready() {
    local from run
    for run in $(seq "$RUNS"); do
        if [ -e "$DATA" ]; then down "$@"; fi
        from=$(now_ms)
        up
        echo $(($(now_ms) - from))
    done | median
}

idle() { # WHAT
    local ticks percent
    ticks=$(cpu_ticks)
    sleep "$IDLE"
    percent=$(cpu_ticks | awk -v from="$ticks" -v hz="$(getconf CLK_TCK)" -v s="$IDLE" '{ printf "%.2f", ($1 - from) / hz / s * 100 }')
    row "idle memory (PSS), $1" "$(memory_kb | awk '{ printf "%.1f", $1 / 1000 }') MB"
    row "idle CPU over $IDLE s, $1" "$percent % of a core"
}

# Created to Running as a watcher sees it, which was there before, one pod after another, the image on the node.
pod_start() {
    local image number name phase watch
    image=$(kubectl_ get deployment steersman-demo -o 'jsonpath={.spec.template.spec.containers[0].image}')
    # Not through a function: it is kubectl itself that is killed at the end, or the watch would keep the pipe open.
    kubectl --kubeconfig "$DATA/admin.kubeconfig" get pods --selector run --watch --no-headers \
        -o 'custom-columns=N:.metadata.name,P:.status.phase' \
        > >(while read -r name phase; do echo "${EPOCHREALTIME/./} $name $phase"; done >"$WORK/seen") &
    watch=$!
    for number in $(seq "$PODS"); do
        kubectl_ run "p$number" --image "$image" --image-pull-policy Never --command -- /steersman demo-page --listen 0.0.0.0:8080 >/dev/null
        kubectl_ wait "pod/p$number" --for 'jsonpath={.status.phase}=Running' --timeout 30s >/dev/null
    done
    kill $watch
    [ "$(grep -c Running "$WORK/seen")" -ge "$PODS" ] || die "the watch missed pods"
    awk '!($2 in first) { first[$2] = $1 } $3 == "Running" && !($2 in done) { done[$2] = 1; print int(($1 - first[$2]) / 1000) }' \
        "$WORK/seen" | median
}

build_time() {
    local from
    from=$(now_ms)
    CARGO_TARGET_DIR=$WORK/target cargo build --release --locked --package steersman >>"$WORK/log" 2>&1
    row "release build from nothing, $(nproc) cores" "$(($(now_ms) - from)) ms"
}

main() {
    [ -x "$STEERSMAN" ] || die "there is no $STEERSMAN; build it first: cargo build --release"
    [ "$(id -u)" -eq 0 ] || die "run it as root"
    need_kubectl
    trap cleanup EXIT
    printf 'commit %s, %s cores, Linux %s\n\n' "$(git rev-parse --short HEAD)" "$(nproc)" "$(uname -r)"
    printf '| what | figure |\n|---|---|\n'
    row "empty disk to node Ready and DNS (median of $RUNS)" "$(time_to_ready --purge) ms"
    row "restart to node Ready and DNS (median of $RUNS)" "$(time_to_ready) ms"
    idle "no pods"
    down
    up --demo
    idle "with the demo's pods"
    row "pod created to Running (median of $PODS)" "$(pod_start) ms"
    row "binary size" "$(stat -c %s "$STEERSMAN" | awk '{ printf "%.1f", $1 / 1e6 }') MB"
    [ "${1:-}" != --build ] || build_time
}

main "$@"
