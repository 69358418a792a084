#!/usr/bin/env bash
# A stranger's first minute: `rollcall demo` prints commands to try, each of them works as printed, and it ends by itself.
. "$(dirname "$0")/lib.sh"
"$rollcall" demo --seconds 8 >"$work/demo.log" 2>&1 &
demo=$!; pids+=("$demo")
commands() { sed -nE 's/^[[:space:]]*(\$ )?((dig|curl|[^ ]*rollcall) .*)$/\2/p' "$work/demo.log"; }
printed() { [ "$(commands | wc -l)" -ge 3 ]; }
until_true 10 printed
mkdir "$work/bin"; ln -s "$rollcall" "$work/bin/rollcall"
export PATH="$work/bin:$PATH"
works() { out=$(bash -c "$1" 2>"$work/command.log" | grep -v '^;') && [ -n "$out" ]; }
while IFS= read -r command; do
    # The first of them may come before the first table.
    until_true 5 works "$command"
done < <(commands | head -5)
wait "$demo" || fail "demo ended with status $?"
