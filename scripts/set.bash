# The processes of the set that scripts/run started in a run directory. Sourced by the scripts that
# end them or replace them, which set `run_dir`.
# shellcheck shell=bash disable=SC2034

# Names as the kernel cuts them, at 15 bytes.
supervisor_name=supervisord
broker_name=switchboard-bro
gateway_name=switchboard-gat

# The processes know the directory by its full path.
set_resolve_run_dir() {
    if [[ -d $run_dir ]]; then
        run_dir=$(cd "$run_dir" && pwd)
    fi
}

# The pids of that set's processes called $1...: known by the environment that scripts/run gave them,
# so that no other process can be taken for one.
set_pids_of() {
    local file pid name
    # A process that ends meanwhile, or that is somebody else's, cannot be read: not ours.
    for file in $(grep --files-with-matches --null-data --line-regexp --fixed-strings \
        "SWITCHBOARD_RUN_DIR=$run_dir" /proc/[0-9]*/environ 2>/dev/null || true); do
        pid=${file#/proc/}
        pid=${pid%/environ}
        for name in "$@"; do
            if [[ $(cat "/proc/$pid/comm" 2>/dev/null || true) == "$name" ]]; then
                echo "$pid"
            fi
        done
    done
}

# The value of the variable $2 in the environment of the process $1; empty if there is none.
set_variable_of() {
    tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | sed --quiet "s/^$2=//p" || true
}

# The slot of the gateway that is the process $1; empty if it has ended.
set_slot_of() {
    tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | sed --quiet '/^--slot$/ { n; p }' || true
}
