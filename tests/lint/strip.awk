# Blanks comments and the insides of strings and character constants of C, keeping lines.
{
    out = ""
    line = $0
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (comment) {
            if (two == "*/") { comment = 0; i++; out = out " " }
        } else if (quote != "") {
            if (c == "\\") { i++ }
            else if (c == quote) { quote = ""; out = out c }
        } else if (two == "/*") { comment = 1; i++ }
        else if (two == "//") { break }
        else {
            if (c == "\"" || c == "'") { quote = c }
            out = out c
        }
    }
    quote = ""
    print out
}
