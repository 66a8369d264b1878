//! Name resolution inside a pod.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_subdomain_problems;

use crate::checks::{invalid, ip, subdomain};
use crate::tree::Read;

const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;

/// The field `dnsConfig`.
pub(super) fn config(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let config = spec.at("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        if config.is_null() {
            let why = "must provide `dnsConfig` when `dnsPolicy` is None";
            found.push(Error::required(path.clone(), why));
            return;
        }
        if config.items("nameservers").is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            found.push(Error::required(path.child("nameservers"), why));
            return;
        }
    }
    servers(found, config, &path.child("nameservers"));
    searches(found, config, &path.child("searches"));
    for (index, option) in config.items("options").iter().enumerate() {
        if option.text("name").is_empty() {
            found.push(Error::required(path.child("options").index(index), "must not be empty"));
        }
    }
}

fn servers(found: &mut ErrorList, config: &Tree, path: &Path) {
    let servers = config.texts("nameservers");
    if servers.len() > MAX_SERVERS {
        let why = format!("must not have more than {MAX_SERVERS} nameservers");
        found.push(Error::invalid(path.clone(), config.at("nameservers").clone(), why));
    }
    for (index, server) in servers.iter().enumerate() {
        ip(found, &path.index(index), server);
    }
}

fn searches(found: &mut ErrorList, config: &Tree, path: &Path) {
    let searches = config.texts("searches");
    let whys = [
        (searches.len() > MAX_SEARCHES, format!("must not have more than {MAX_SEARCHES} search paths")),
        (
            searches.join(" ").len() > MAX_SEARCH_BYTES,
            format!(
                "must not have more than {MAX_SEARCH_BYTES} characters (including spaces) in the search list"
            ),
        ),
    ];
    for (_, why) in whys.into_iter().filter(|(applies, _)| *applies) {
        found.push(Error::invalid(path.clone(), config.at("searches").clone(), why));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        // Names of services of other systems may have underscores.
        let problems = dns1123_subdomain_problems(&search.replace('_', "a"), false);
        invalid(found, &path.index(index), search, problems);
    }
}

/// The list `hostAliases`.
pub(super) fn host_aliases(found: &mut ErrorList, aliases: &[Tree], path: &Path) {
    for (index, alias) in aliases.iter().enumerate() {
        ip(found, &path.index(index).child("ip"), alias.text("ip"));
        for name in alias.texts("hostnames") {
            subdomain(found, &path.index(index).child("hostnames"), name);
        }
    }
}
