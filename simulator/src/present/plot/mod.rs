//! The charts of the report as images: SVG, or PNG made of it.
//!
//! They are drawn from what `murmurate-sim run --json` prints, by the very code that draws them in
//! the report.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use rquickjs::{CatchResultExt as _, Context, Ctx, Runtime};
use serde::Deserialize;
use serde_json::Value;

use crate::present::report::{CHARTS, VENDOR};

/// Draws charts where there is no page.
const PLOT: &str = include_str!("plot.js");
/// Letters of the images. Roboto, by Google, under the Apache License 2.0; of it the Latin and the
/// Greek ones.
const FONT: &[u8] = include_bytes!("Roboto-Regular.ttf");

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Plot {
    /// Its name, as a file can have it.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// The image.
    pub svg: String,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// It is no JSON.
    #[error("this is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is something else than a result.
    #[error("this is not a result of run --json: {0:?} is missing")]
    Missing(&'static str),
    /// The drawing failed.
    #[error("the chart could not be drawn: {0}")]
    Drawing(String),
}

/// Lists that every result has.
const KEYS: [&str; 4] = ["phases", "series", "overlay_series", "timeline"];

/// All charts of a result, of so many pixels. Those are left out for which it has no figures.
///
/// # Errors
/// If it is no result.
pub fn plots(result: &str, (width, height): (u32, u32)) -> Result<Vec<Plot>, PlotError> {
    let value: Value = serde_json::from_str(result)?;
    if let Some(missing) = KEYS.into_iter().find(|key| !value[key].is_array()) {
        return Err(PlotError::Missing(missing));
    }
    let failed = |error: rquickjs::Error| PlotError::Drawing(error.to_string());
    let runtime = Runtime::new().map_err(failed)?;
    let context = Context::full(&runtime).map_err(failed)?;
    let call = format!("JSON.stringify(plots(JSON.parse(result), {width}, {height}))");
    let drawn = context.with(|context: Ctx<'_>| {
        let draw = || {
            context.globals().set("result", result)?;
            for script in [VENDOR, CHARTS, PLOT] {
                context.eval::<(), _>(script)?;
            }
            context.eval::<String, _>(call)
        };
        draw().catch(&context).map_err(|error| PlotError::Drawing(error.to_string()))
    })?;
    Ok(serde_json::from_str(&drawn)?)
}

/// An image as PNG, so many times as large.
///
/// # Errors
/// If it is no SVG, or too large.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, PlotError> {
    let failed = |error: &dyn std::fmt::Display| PlotError::Drawing(error.to_string());
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Roboto");
    let options = Options { fontdb: fonts.into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| failed(&error))?;
    let size = tree.size().to_int_size().scale_by(scale);
    let pixmap = size.and_then(|size| Pixmap::new(size.width(), size.height()));
    let mut pixmap = pixmap.ok_or_else(|| failed(&"it is too large or too small"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| failed(&error))
}
