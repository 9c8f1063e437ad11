#!/bin/sh
# The page of compat in a browser without a screen: what its filters show, and that nothing in the
# data is taken for markup.
# usage: compat_html.sh BINARY SOURCE
. "$(dirname "$0")/common.sh"
. "$2/.ci/lavapipe"
browser=
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v $name || true)
done
[ -n "$browser" ] || {
    echo "skipped: no Chromium: the package is chromium-headless-shell"
    exit 77
}
lavapipe_copies 2 "$folder/icd" || exit 77
need_device
cd "$source" || exit 1

# The model's name ends the script element, if it is let.
mkdir "$folder/<"
ln -s "$f16" "$folder/</script><b id=evil>.gguf"
sed 's/"last_logits": \[-11/"last_logits": [-12/' models/classics-13m.json >"$folder/wrong.json"
page=$folder/page.html
for format in html json; do # of one run
    expect 1 compat --quick -m "$folder/</script><b id=evil>.gguf" \
        --reference "$folder/wrong.json" --resume "$folder/journal" -o $format
    cp "$out" "$folder/page.$format"
done
report=$folder/page.json
grep -qE '(src|href)="?(https?:)?//|url\(|@import' "$page" && fail "the page asks for other files"

show() { # hash, then the page's DOM is in $out
    last="page #$1"
    "$browser" --headless --no-sandbox --disable-gpu --dump-dom "file://${2:-$page}#$1" \
        >"$out" 2>"$err" </dev/null || fail "the browser failed"
    has "$out" 'id="totals"'
}
shown() { # lines of the table of results with this class and these attributes
    sed -n '/<table id="results">/,/<\/table>/p' "$out" | tr '>' '\n' |
        grep "<tr class=\"$1" | grep -c "$2" || true
}
total() { # status: as the page counts what is shown
    grep -o "data-total=\"$1\" data-count=\"[0-9]*\"" "$out" | grep -o '[0-9]*' | tail -n 1
}
in_report() { # status
    grep -c "\"status\": \"$1\"" "$report" || true
}
equal() { # what, got, wanted
    [ "$2" -eq "$3" ] || fail "$1: $2, not $3"
}

# Kernels of matmul, whether or not they are in this build.
kernels=$(grep -A 1 '"op": "matmul"' "$report" | grep '"variant"' | sort -u | wc -l)
[ "$kernels" -ge 5 ] || fail "$kernels kernels of matmul"

show ''
for status in pass fail skip; do
    equal "all $status" "$(total $status)" "$(in_report $status)"
done
grep -q 'id="evil"' "$out" && fail "the data became markup"
has "$out" '\u003c/script>\u003cb id=evil>.gguf'
has "$out" 'quirks'
has "$out" 'llvmpipe'
equal 'cells of device 0' "$(shown cell 'data-device="0" data-op="matmul"')" "$kernels"
equal 'cells of device 1' "$(shown cell 'data-device="1" data-op="matmul"')" "$kernels"

show 'status=fail'
equal fail "$(total fail)" "$(in_report fail)"
equal pass "$(total pass)" 0
equal skip "$(total skip)" 0
equal 'rows' "$(shown row '')" "$(in_report fail)"
equal 'rows that failed' "$(shown row 'data-status="fail"')" "$(shown row '')"
equal 'cells that failed' "$(shown cell 'data-status="fail"')" "$(shown cell '')"
equal 'cells' "$(shown cell 'data-op="model"')" 3

show 'device=1&op=matmul'
equal 'cells' "$(shown cell 'data-device="1" data-op="matmul"')" "$(shown cell '')"
equal 'cells of all variants' "$(shown cell '')" "$kernels"
[ "$(total pass)" -gt 40 ] || fail "few rows"
equal 'cells of the other device' "$(shown cell 'data-device="0"')" 0

show 'op=rope&q=in+place'
equal 'rows' "$(shown row '')" "$(total pass)"
equal 'rows on both devices' "$(shown row 'data-op="rope"')" 2

show 'status=fail&op=rope'
equal 'cells' "$(shown cell '')" 0
grep -q '<div id="empty">' "$out" || fail "nothing says that nothing matches"

# By hand: the controls filter too, and the address follows.
cp "$page" "$folder/hand.html"
cat >>"$folder/hand.html" <<'HTML'
<script>
const set = (id, value, kind) => {
  document.getElementById(id).value = value;
  document.getElementById(id).dispatchEvent(new Event(kind));
};
set("op", "swiglu", "change");
set("device", "1", "change");
set("search", "plain", "input");
document.querySelector("#results tr.cell").click();
document.title = "hash " + location.hash;
</script>
HTML
show '' "$folder/hand.html"
equal 'cells' "$(shown cell '')" "$(shown cell 'data-device="1" data-op="swiglu"')"
has "$out" '<title>hash #device=1&amp;op=swiglu&amp;q=plain</title>'
has "$out" 'class="detail" hidden' # few rows were open; the click closed them
finish
