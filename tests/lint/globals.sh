#!/bin/sh
# No mutable data at file scope: the static library has no object in .data, .bss or thread-local
# sections. (.data.rel.ro is constant after loading.)  usage: globals.sh ROOT LIBRARY
. "$(dirname "$0")/common.sh"
found=$(mktemp)
objdump -t "$2" | awk '
    / \.(data|bss|tdata|tbss)[.A-Za-z0-9_]*\t/ || / \*COM\*\t/ {
        if ($0 ~ /\.data\.rel\.ro/) next
        split($0, half, "\t")
        n = split(half[1], left, " ")
        split(half[2], right, " ")
        if (right[1] ~ /^0+$/ || right[2] ~ /^\./) next
        print "mutable data: " right[2] " in " left[n]
    }' >"$found"
finish "$found"
