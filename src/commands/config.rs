//! `valve config`: which settings take effect, and why.

use std::process::ExitCode;

use serde_json::json;

use super::failure::{Failure, report};
use crate::cli::{ConfigArgs, ConfigFormat};
use crate::config::effective::{as_toml, documentation, explain};
use crate::config::{Sources, process_environment};

/// Shows the settings, one of them, or the table of all.
pub fn config(args: &ConfigArgs) -> ExitCode {
    if args.docs {
        return report(Ok(documentation()));
    }
    let sources = match Sources::read(args.config.as_deref(), process_environment()) {
        Ok(sources) => sources,
        Err(errors) => return Failure::usage(errors).report(),
    };
    let settings = sources.effective();
    let text = match (&args.explain, args.format) {
        (Some(name), _) => explain(name, &settings).map_err(Failure::Usage),
        (None, ConfigFormat::Toml) => Ok(as_toml(&settings)),
        (None, ConfigFormat::Json) => Ok(format!("{:#}\n", json!({ "settings": settings }))),
    };
    let is_shown = text.is_ok();
    let code = report(text);
    // What is wrong with them is said behind them.
    match sources.validate() {
        Err(errors) if is_shown && args.explain.is_none() => Failure::usage(errors).report(),
        _ => code,
    }
}
