//! `murmurate-sim plot`: the charts of a result as images.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::present::plot::{self, Plot};
use clap::Args;

/// What to draw.
#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    /// The output of run --json; - reads standard input
    #[arg(value_name = "RESULT.json")]
    result: PathBuf,
    /// A file that ends in .svg or .png for one chart, or a folder for one file per chart
    #[arg(long, short, value_name = "FILE|FOLDER")]
    output: PathBuf,
    /// The names of the charts to draw [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    chart: Vec<String>,
    /// The format of the files in a folder
    #[arg(long, value_enum, default_value = "svg")]
    format: ImageFormat,
    /// Width and height in pixels; a PNG is twice as wide and high
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "720x400", value_parser = size)]
    size: (u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ImageFormat {
    Svg,
    Png,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides
        .filter(|(width, height)| (200..=8_000).contains(width) && (150..=8_000).contains(height))
        .ok_or_else(|| "allowed is 200x150 to 8000x8000, as in 720x400".to_owned())
}

impl ImageFormat {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

/// How many pixels of a PNG stand for one.
const SHARP: f32 = 2.0;

pub(crate) fn plot(options: &PlotArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let single = ImageFormat::of(&options.output);
    if single.is_none() && options.output.extension().is_some() && !options.output.is_dir() {
        let shown = options.output.display();
        return Err(format!("{shown} ends in neither .svg nor .png, and is not a folder").into());
    }
    let input = read(&options.result)?;
    let shown = options.result.display();
    let all = plot::plots(&input, options.size).map_err(|error| format!("{shown}: {error}"))?;
    let chosen = chosen(all, &options.chart).map_err(|error| format!("{shown}: {error}"))?;
    let Some(format) = single else {
        std::fs::create_dir_all(&options.output)
            .map_err(|error| cannot(&options.output, &error))?;
        for plot in &chosen {
            let ending = options.format.ending();
            write(&options.output.join(format!("{}.{ending}", plot.name)), plot, options.format)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    match &chosen[..] {
        [plot] => write(&options.output, plot, format)?,
        _ => {
            let names: Vec<_> = chosen.iter().map(|plot| plot.name.as_str()).collect();
            let names = names.join(", ");
            return Err(format!("a file has room for one chart: choose with --chart one of {names}, or name a folder").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(all: Vec<Plot>, names: &[String]) -> Result<Vec<Plot>, String> {
    for name in names {
        if !all.iter().any(|plot| plot.name == *name) {
            let known: Vec<_> = all.iter().map(|plot| plot.name.as_str()).collect();
            return Err(format!("there is no chart {name:?}, but {}", known.join(", ")));
        }
    }
    Ok(all.into_iter().filter(|plot| names.is_empty() || names.contains(&plot.name)).collect())
}

fn read(path: &Path) -> Result<String, String> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn write(path: &Path, plot: &Plot, format: ImageFormat) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = match format {
        ImageFormat::Svg => plot.svg.clone().into_bytes(),
        ImageFormat::Png => plot::png(&plot.svg, SHARP)?,
    };
    std::fs::write(path, bytes).map_err(|error| cannot(path, &error))?;
    say!("{}: {}", path.display(), plot.title);
    Ok(())
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}
