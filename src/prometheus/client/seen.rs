//! What a Prometheus shows of what it has read: by this it is seen how far a publication has come.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Client, Error, Scrapes};

impl Client {
    /// File and name of each group of rules in force; the file without its folders.
    pub async fn group_names(&self) -> Result<BTreeSet<(String, String)>, Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
            file: String,
        }
        #[derive(Deserialize)]
        struct Names {
            groups: Vec<Named>,
        }
        let request = self.0.http.get(self.0.url("api/v1/rules")).query(&[("exclude_alerts", "true")]);
        let names: Names = self.data(request).await?;
        let file = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(names.groups.into_iter().map(|group| (file(&group.file), group.name)).collect())
    }

    /// When it last read its files well, in seconds since 1970, by its own metrics; `None` where it shows none.
    pub async fn loaded_at(&self) -> Result<Option<f64>, Error> {
        let text = match self.send(self.0.http.get(self.0.url("metrics"))).await {
            Ok(response) => response.text().await.map_err(|error| self.unreachable(&error))?,
            // a proxy in front of it need not let it through
            Err(Error::Answer { .. } | Error::Unauthorized { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let of = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.and_then(|value| value.trim().parse::<f64>().ok())
        };
        let well = of("prometheus_config_last_reload_successful").is_none_or(|well| well > 0.0);
        Ok(of("prometheus_config_last_reload_success_timestamp_seconds").filter(|_| well))
    }

    /// What its configuration says where it looks for rules and targets; empty where it says nothing of it.
    pub async fn looks_at(&self) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Config {
            yaml: String,
        }
        let config: Config = self.data(self.0.http.get(self.0.url("api/v1/status/config"))).await?;
        let paths = config.yaml.lines().filter_map(|line| line.trim().strip_prefix("- "));
        let files = paths.filter(|path| [".yml", ".yaml", ".json"].iter().any(|end| path.ends_with(end)));
        Ok(files.map(str::to_owned).collect())
    }

    /// Address, owner and server of each target that it scrapes and that has an owner. Tens of thousands are a long answer.
    pub async fn targets(&self, owner_label: &str, server_label: &str) -> Result<BTreeSet<Scrapes>, Error> {
        #[derive(Deserialize)]
        struct Active {
            #[serde(rename = "discoveredLabels")]
            discovered: BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        struct Targets {
            #[serde(rename = "activeTargets")]
            active: Vec<Active>,
        }
        let request = self.0.http.get(self.0.url("api/v1/targets")).query(&[("state", "active")]);
        let targets: Targets = self.data(request).await?;
        let one = |mut target: Active| {
            let owner = target.discovered.remove(owner_label)?;
            let server = target.discovered.remove(server_label)?;
            Some((target.discovered.remove("__address__")?, owner, server))
        };
        Ok(targets.active.into_iter().filter_map(one).collect())
    }

    /// How many targets with an owner it has scraped.
    pub async fn scraped(&self, owner_label: &str) -> Result<f64, Error> {
        let counted = self.query(&format!("count(up{{{owner_label}!=\"\"}})")).await?;
        Ok(counted.first().map_or(0.0, |(_, n)| *n))
    }
}
