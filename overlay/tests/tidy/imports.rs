//! Which file of a crate imports from which: read from the text, as rustfmt leaves it.
//!
//! An import counts for the file that declares the thing, not for those that only pass it on. Tests
//! are left out, and what a file calls without importing its module, by a method of somebody else's
//! type, is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path within its crate; the root's is empty.
pub(crate) type Module = Vec<String>;

/// The name of a crate's root.
const ROOT: &str = "the root";

/// Re-exports of re-exports go no deeper than this.
const MOST_HOPS: usize = 8;

/// The modules of a crate that have files of their own.
pub(crate) struct Crate {
    /// Where it is, from the root of the repository.
    pub(crate) name: String,
    files: BTreeMap<Module, File>,
}

/// What stands in a file.
#[derive(Default)]
struct File {
    /// Without comments and tests.
    text: String,
    /// What it imports, by the name it has then.
    names: BTreeMap<String, Module>,
    /// Modules of which it imports everything.
    globs: Vec<Module>,
    /// All paths into the crate, from its root.
    paths: BTreeSet<Module>,
}

/// A file that imports from another one.
pub(crate) type Import = (Module, Module);

/// Modules side by side that import from each other, directly or by way of one another.
pub(crate) struct Circle {
    /// Whose children they are.
    pub(crate) parent: String,
    pub(crate) children: Vec<String>,
    /// The imports that it is made of.
    pub(crate) imports: Vec<String>,
}

pub(crate) fn show(module: &[String]) -> String {
    if module.is_empty() { ROOT.into() } else { module.join("::") }
}

/// The module of that name.
fn named(shown: &str) -> Module {
    if shown == ROOT { Module::new() } else { shown.split("::").map(str::to_owned).collect() }
}

/// All crates whose roots are in the folder or below.
pub(crate) fn crates(repository: &Path, folder: &Path) -> Vec<Crate> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let inside = entries.map(|entry| entry.expect("readable").path());
        folders.extend(inside.filter(|path| path.is_dir()));
        if is_root(&folder) {
            let name = folder.strip_prefix(repository).expect("below").display().to_string();
            let mut files = BTreeMap::new();
            read(&folder, &Vec::new(), &mut files);
            found.push(Crate::new(name, files));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn is_root(folder: &Path) -> bool {
    ["lib.rs", "main.rs"].iter().any(|name| folder.join(name).exists())
}

/// The texts of a module's folder, but for tests and other crates.
fn read(folder: &Path, module: &Module, files: &mut BTreeMap<Module, String>) {
    let entries = fs::read_dir(folder).expect("readable");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    for path in paths {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let child = [module.clone(), vec![stem.clone()]].concat();
        if stem == "tests" {
            continue;
        } else if path.is_dir() && !is_root(&path) {
            read(&path, &child, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_own = matches!(&*stem, "mod" | "lib" | "main");
            let text = fs::read_to_string(&path).expect("readable");
            files.insert(if is_own { module.clone() } else { child }, text);
        }
    }
}

impl Crate {
    pub(crate) fn new(name: String, texts: BTreeMap<Module, String>) -> Self {
        let file = |(module, text): (Module, String)| {
            let file = File::read(&module, &text);
            (module, file)
        };
        Self { name, files: texts.into_iter().map(file).collect() }
    }

    /// The modules right below one.
    pub(crate) fn children(&self, parent: &str) -> BTreeSet<&str> {
        let parent = named(parent);
        let below = self.files.keys().filter_map(|module| module.strip_prefix(&parent[..]));
        below.filter_map(|rest| rest.first().map(String::as_str)).collect()
    }

    /// Which of those import from which, and from the file of the module that they are below, which has
    /// its name. That file itself passes on what is anywhere.
    pub(crate) fn imports_below(&self, parent: &str) -> BTreeSet<[String; 2]> {
        let path = named(parent);
        let own = parent.rsplit("::").next().unwrap_or(parent);
        let of_children = |(from, to): Import| {
            let from = from.strip_prefix(&path[..])?.first()?.clone();
            let to = to.strip_prefix(&path[..])?.first().map_or(own, String::as_str);
            (from != to).then(|| [from, to.to_owned()])
        };
        self.imports().into_iter().filter_map(of_children).collect()
    }

    /// Who imports from whom.
    pub(crate) fn imports(&self) -> BTreeSet<Import> {
        let of_file = |(module, file): (&Module, &File)| {
            let paths = file.paths.iter().chain(self.by_globs(file));
            let targets = paths.map(|path| self.declared(path, 0));
            let imports = targets.map(|target| (module.clone(), target));
            imports.filter(|(from, to)| from != to).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(of_file).collect()
    }

    /// Where those names lead that a file has because it imports everything of another one.
    fn by_globs<'c>(&'c self, file: &'c File) -> impl Iterator<Item = &'c Module> {
        let others = file.globs.iter().filter_map(|glob| self.files.get(&self.declared(glob, 0)));
        others.flat_map(|other| {
            let words = words(&file.text).filter(|word| !file.names.contains_key(*word));
            words.filter_map(|word| other.names.get(word))
        })
    }

    /// The module whose file declares what a path from the root leads to.
    fn declared(&self, path: &[String], hops: usize) -> Module {
        let mut at = Module::new();
        for (depth, name) in path.iter().enumerate() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                at = child;
                continue;
            }
            let Some(file) = self.files.get(&at).filter(|_| hops < MOST_HOPS) else { break };
            if let Some(target) = file.names.get(name) {
                let path = [&target[..], &path[depth + 1..]].concat();
                // What is another crate's is found in the file that passes it on.
                return self.declared(&path, hops + 1);
            }
            let globs = file.globs.iter().map(|glob| self.declared(glob, hops + 1));
            let mut declaring = globs.filter(|glob| self.declares(glob, name));
            return declaring.next().unwrap_or(at);
        }
        at
    }

    fn declares(&self, module: &Module, name: &str) -> bool {
        const WORDS: [&str; 7] = ["struct", "enum", "trait", "type", "fn", "const", "static"];
        let Some(file) = self.files.get(module) else { return false };
        let mut before = "";
        words(&file.text).any(|word| {
            let declared = word == name && WORDS.contains(&before);
            before = word;
            declared
        })
    }

    /// At every level, children of one module that import from each other in a circle, each with all
    /// that is below it. What a module and its own children import from each other is no circle.
    pub(crate) fn circles(&self) -> Vec<Circle> {
        let imports = self.imports();
        let mut levels: BTreeMap<&[String], Vec<(&Import, [&String; 2])>> = BTreeMap::new();
        for import @ (from, to) in &imports {
            let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.get(common), to.get(common)) {
                levels.entry(&from[..common]).or_default().push((import, [a, b]));
            }
        }
        let mut found = Vec::new();
        for (parent, imports) in levels {
            let edges: BTreeSet<[&String; 2]> = imports.iter().map(|(_, edge)| *edge).collect();
            for children in together(&edges) {
                let inside = |edge: &[&String; 2]| edge.iter().all(|end| children.contains(end));
                let imports = imports.iter().filter(|(_, edge)| inside(edge));
                let imports =
                    imports.map(|((from, to), _)| format!("{} -> {}", show(from), show(to)));
                found.push(Circle {
                    parent: show(parent),
                    imports: imports.collect(),
                    children: children.into_iter().cloned().collect(),
                });
            }
        }
        found
    }
}

/// The groups of nodes that reach each other.
fn together<'n>(edges: &BTreeSet<[&'n String; 2]>) -> BTreeSet<BTreeSet<&'n String>> {
    let reached = |from: &'n String| {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            let targets = edges.iter().filter(|[source, _]| *source == node);
            next.extend(
                targets.map(|[_, target]| *target).filter(|target| reached.insert(*target)),
            );
        }
        reached
    };
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        edges.iter().map(|[from, _]| (*from, reached(from))).collect();
    let group = |node: &&'n String| -> BTreeSet<&'n String> {
        let others = reach[node].iter().copied();
        others.filter(|other| reach.get(other).is_some_and(|back| back.contains(node))).collect()
    };
    reach.keys().map(group).filter(|group| group.len() > 1).collect()
}

impl File {
    fn read(module: &Module, text: &str) -> Self {
        let text = without_tests(text);
        let mut file = Self { text: text.clone(), ..Self::default() };
        let mut code = Vec::new();
        // Modules within the file, each with the line that ends it.
        let mut within: Vec<(String, String)> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let words = line.trim_start();
            within.pop_if(|(_, end)| line == end);
            let here = || {
                let names = within.iter().map(|(name, _)| name.clone());
                module.iter().cloned().chain(names).collect::<Module>()
            };
            let item = words.split_once(' ').filter(|(word, _)| word.starts_with("pub"));
            let item = item.map_or(words, |(_, item)| item);
            if let Some(name) = item.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
                let end = format!("{}}}", &line[..line.len() - words.len()]);
                within.push((name.to_owned(), end));
            } else if let Some(start) = item.strip_prefix("use ") {
                let mut tree = start.to_owned();
                while !tree.ends_with(';') {
                    tree.push_str(lines.next().expect("an end").trim());
                }
                file.import(&here(), within.is_empty(), tree.trim_end_matches(';'));
            } else {
                code.push((here(), line));
            }
        }
        for (here, line) in code {
            for path in paths(line) {
                let is_own = matches!(&*path[0], "crate" | "super" | "self");
                let name = file.names.get(&path[0]);
                let path = match name {
                    _ if is_own => absolute(&here, &path),
                    Some(target) => [&target[..], &path[1..]].concat(),
                    None => continue,
                };
                file.paths.insert(path);
            }
        }
        file
    }

    /// Takes in what a `use` says.
    fn import(&mut self, here: &Module, is_outermost: bool, tree: &str) {
        for leaf in leaves(tree) {
            let (path, name) = leaf.split_once(" as ").unwrap_or((&leaf, ""));
            let mut path: Module = path.split("::").map(|part| part.trim().to_owned()).collect();
            let is_glob = path.pop_if(|last| last == "*").is_some();
            path.pop_if(|last| last == "self");
            let is_own = path.first().is_none_or(|word| matches!(&**word, "crate" | "super"));
            let name = if name.is_empty() { path.last().cloned() } else { Some(name.to_owned()) };
            let path = absolute(here, &path);
            if is_own {
                self.paths.insert(path.clone());
            }
            match name {
                _ if !is_outermost => {}
                _ if is_glob => self.globs.push(path),
                Some(name) => drop(self.names.insert(name, path)),
                None => {}
            }
        }
    }
}

/// A path from the root of the crate; one that begins with another crate leads into the module itself.
fn absolute(here: &Module, path: &[String]) -> Module {
    let mut at = here.clone();
    let mut rest = path;
    while let [first, others @ ..] = rest {
        match &**first {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => break,
        }
        rest = others;
    }
    [at, rest.to_vec()].concat()
}

/// Text without comments, and without what is compiled for tests only.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().map(|line| line.split("//").next().unwrap_or(line).trim_end());
    while let Some(line) = lines.next() {
        if line.trim_start() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        // The item ends at a brace in its own column, or is over before one opens.
        let mut opened = false;
        for line in lines.by_ref() {
            opened |= line.ends_with('{');
            let is_over = if opened { line == format!("{indent}}}") } else { line.ends_with(';') };
            if is_over || line == format!("{indent}}};") {
                break;
            }
        }
    }
    kept
}

/// The paths that a tree of imports stands for.
fn leaves(tree: &str) -> Vec<String> {
    let braces =
        tree.split_once('{').and_then(|(before, rest)| Some((before, rest.rsplit_once('}')?.0)));
    let Some((before, inside)) = braces else { return vec![tree.trim().to_owned()] };
    let mut depth = 0;
    let branches = inside.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let branches = branches.filter(|branch| !branch.trim().is_empty());
    branches.flat_map(leaves).map(|leaf| format!("{}{leaf}", before.trim())).collect()
}

/// The names and keywords of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The paths of more than one name in a line.
fn paths(line: &str) -> Vec<Module> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let found = line.split(|c| !is_path(c)).filter(|path| path.contains("::"));
    let parts = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
    found.map(|path| parts(path.trim_matches(':'))).filter(|parts| parts.len() > 1).collect()
}
