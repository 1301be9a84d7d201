//! Lists as CSV (RFC 4180), for spreadsheets.

/// A record with its line break.
pub fn record<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (n, text) in cells.into_iter().enumerate() {
        if n > 0 {
            line.push(',');
        }
        cell(&mut line, text);
    }
    line.push_str("\r\n");
    line
}

/// What people typed may begin as a formula does, which a spreadsheet would run: an apostrophe makes it text.
fn cell(line: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    let quoted = text.contains(['"', ',', '\r', '\n']);
    if quoted {
        line.push('"');
    }
    if formula {
        line.push('\'');
    }
    if quoted {
        line.push_str(&text.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_cells() {
        for (text, cell) in [
            ("", ""),
            ("web 1", "web 1"),
            ("a,b", "\"a,b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            (
                "=HYPERLINK(\"http://evil.example\",\"a\")",
                "\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"a\"\")\"",
            ),
            ("a=1", "a=1"),
        ] {
            assert_eq!(record([text, "x"]), format!("{cell},x\r\n"));
        }
    }
}
