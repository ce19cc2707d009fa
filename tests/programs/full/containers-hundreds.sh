#!/usr/bin/env bash
# The same with hundreds of containers.
COUNT=200 exec "$(dirname "$0")/../containers-many.sh"
