#!/bin/sh
# .ci/packages with a made-up package system: nothing is done when all is there; without root what is
# missing is named; as root exactly that is installed.  usage: packages.sh SOURCE
set -eu
source=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/dpkg-query" <<'END'
#!/bin/sh
for name; do :; done
case " $MISSING " in
*" $name "*) exit 1 ;;
esac
echo 'ii '
END
cat >"$folder/apt-get" <<'END'
#!/bin/sh
echo "$@" >>"$CALLS"
END
cat >"$folder/id" <<'END'
#!/bin/sh
echo "$USER_ID"
END
chmod +x "$folder/dpkg-query" "$folder/apt-get" "$folder/id"
CALLS=$folder/calls
PATH=$folder:$PATH
export CALLS PATH MISSING USER_ID

try() { # missing packages, user, expected exit code
    MISSING=$1
    USER_ID=$2
    : >"$CALLS"
    code=0
    "$source/.ci/packages" >"$folder/out" 2>&1 || code=$?
    if [ $code -ne "$3" ]; then
        echo "missing '$1' as user $2: exit code $code, not $3"
        exit 1
    fi
}
has() { # file, text
    if ! grep -q -- "$2" "$1"; then
        echo "missing '$MISSING' as user $USER_ID: no '$2' in:"
        cat "$1"
        exit 1
    fi
}

try '' 1000 0
[ ! -s "$folder/out" ] || exit 1
try '' 0 0
[ ! -s "$CALLS" ] || exit 1
try 'glslc libcmocka-dev' 1000 1
has "$folder/out" '^missing packages: glslc libcmocka-dev$'
[ ! -s "$CALLS" ] || exit 1
try 'glslc libcmocka-dev' 0 0
has "$CALLS" '^install .* glslc libcmocka-dev$'
