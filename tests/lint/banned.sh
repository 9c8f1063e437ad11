#!/bin/sh
# Calls that are not made: unbounded or unchecked string functions anywhere, the heap outside its
# two files, and ways to end the process outside tests and build tools.
. "$(dirname "$0")/common.sh"
found=$(mktemp)
strings='sprintf|vsprintf|strcpy|strcat|stpcpy|atoi|atol|atoll|atof|alloca|gets|strtok'
heap='malloc|calloc|realloc|reallocarray|free|strdup|strndup'
ends='abort|exit|assert'

report() { # file pattern why
    awk -f "$lint_folder/strip.awk" "$1" | grep -nE "(^|[^A-Za-z0-9_])($2)[ ]*\(" |
        sed "s|^\([0-9]*\):[ \t]*|$1:\1: $3: |" || true
}

{
    list_c src device include shaders tests | while read -r file; do
        report "$file" "$strings" "unsafe string function"
    done
    list_c src device include | while read -r file; do
        case $file in
        src/base/mem.c | src/cli/memory.c) ;;
        *) report "$file" "$heap" "heap call outside base/mem.c" ;;
        esac
        report "$file" "$ends" "ends the process"
    done
} >"$found"
finish "$found"
