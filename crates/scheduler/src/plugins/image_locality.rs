//! ImageLocality: favours nodes that have the pod's images already.

use crate::framework::{MAX_SCORE, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// Below this many bytes pulling costs little.
const FLOOR: i64 = 23 << 20;
/// Above this many bytes a container, more does not count.
const CEILING: i64 = 1000 << 20;

pub(super) struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, all: &[NodeInfo]) -> Option<i64> {
        let spec = pod.spec();
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        let images: Vec<String> = containers.filter_map(|c| c.image.as_deref()).map(with_tag).collect();
        let present: i64 =
            images.iter().filter_map(|image| Some(node.images.get(image)? * spread(image, all) / 1000)).sum();
        let ceiling = CEILING * images.len().max(1) as i64;
        Some(MAX_SCORE * (present.clamp(FLOOR, ceiling) - FLOOR) / (ceiling - FLOOR))
    }
}

/// How many of a thousand nodes have the image: a rare image should not draw all its pods to one node.
fn spread(image: &str, all: &[NodeInfo]) -> i64 {
    let having = all.iter().filter(|node| node.images.contains_key(image)).count();
    (having * 1000 / all.len().max(1)) as i64
}

/// The name as the runtime reports it: with `:latest` where no tag is given.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}
