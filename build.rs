//! Prepares what the binary serves: the CSS layers as one file, and every asset also gzipped.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const CSS: [&str; 5] = ["tokens", "base", "layout", "parts", "utilities"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=static");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=templates");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("assets");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let mut css = String::from("@layer tokens, base, layout, parts, utilities;\n");
    for layer in CSS {
        css.push_str(&fs::read_to_string(format!("static/css/{layer}.css"))?);
    }
    put(&out.join("app.css"), css.as_bytes())?;
    for folder in ["static", "static/vendor"] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let served = path
                .extension()
                .is_some_and(|extension| ["js", "svg", "css"].iter().any(|served| extension == *served));
            if let (true, Some(name)) = (served, path.file_name()) {
                put(&out.join(name), &fs::read(&path)?)?;
            }
        }
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    let mut gzip = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    fs::write(name, gzip.finish()?)
}
