//! Suggestions for unknown names.

/// Names that are less similar than this are not suggested.
const ALIKE: f64 = 0.75;

/// All of these names, the most similar one first, if one is similar enough.
pub(crate) fn nearest_first(name: &str, known: &[String]) -> String {
    let nearest = nearest(name, known);
    let others = known.iter().map(String::as_str).filter(|other| Some(*other) != nearest);
    nearest.into_iter().chain(others).collect::<Vec<_>>().join(", ")
}

/// The name that is most similar to this one, by its end or as a whole, if one is similar enough.
pub(crate) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let end = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &String| {
        let ends = strsim::jaro_winkler(&end(name), &end(known));
        ends.max(strsim::jaro_winkler(name, known))
    };
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|best| likeness(best) > ALIKE).map(String::as_str)
}
