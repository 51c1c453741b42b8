//! The charts of the report as SVG or PNG images.
//!
//! They are drawn from the output of `murmurate-sim run --json`, by the code that draws them in the report.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use rquickjs::{CatchResultExt as _, Context, Ctx, Runtime};
use serde::Deserialize;
use serde_json::Value;

use crate::present::report::{CHARTS, VENDOR};

/// Draws charts without a page.
const PLOT: &str = include_str!("plot.js");
/// The font of the images: the Latin and Greek letters of Roboto, by Google, under the Apache License 2.0.
const FONT: &[u8] = include_bytes!("Roboto-Regular.ttf");

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Plot {
    /// Its name, as a file can have it.
    pub name: String,
    /// Its title.
    pub title: String,
    /// The image.
    pub svg: String,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The input is not JSON.
    #[error("this is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The input is not the result of a run.
    #[error("this is not a result of run --json: {0:?} is missing")]
    Missing(&'static str),
    /// The drawing failed.
    #[error("the chart could not be drawn: {0}")]
    Drawing(String),
}

/// Lists that every result contains.
const KEYS: [&str; 4] = ["phases", "series", "overlay_series", "timeline"];

/// All charts of a result, of this size in pixels. Charts without figures are left out.
///
/// # Errors
/// If it is not the result of a run.
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

/// An image as PNG, enlarged by this factor.
///
/// # Errors
/// If it is not SVG, or too large.
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
