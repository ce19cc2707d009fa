#!/usr/bin/env bash
# On a terminal: ^C, ^Z and continuing, ^\, window size, input, hang-up.
. "$(dirname "$0")/lib.sh"
need python3
LIMIT=30 outside python3 "$src/terminal.py" $RUN
