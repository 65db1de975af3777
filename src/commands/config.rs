//! `valve config`: which settings take effect, and why.

use std::process::ExitCode;

use serde_json::json;

use super::failure::{Failure, report, sources};
use crate::cli::{ConfigArgs, ConfigFormat};
use crate::config::effective::{as_toml, documentation, explain};

/// Shows the settings, one of them, or the table of all.
pub async fn config(args: ConfigArgs) -> ExitCode {
    if args.docs {
        return report(Ok(documentation()));
    }
    let sources = match sources(args.config.as_deref()).await {
        Ok(sources) => sources,
        Err(failure) => return failure.report(),
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
