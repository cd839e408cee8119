//! What the command prints, in each form.

use std::time::Duration;

use comfy_table::{Table, presets};
use dht_walk::{BucketHealth, Contact, CrawlCounts, CrawlEnd, Estimate, Fate, Health};
use serde::Serialize;

use super::common::{Form, json, line, words};
use super::text;
use super::tour::End;
use crate::failure::Failure;

/// As people write a share.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// To four digits after the point: more would be noise.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a sweep is going to cost.
#[derive(Debug, Serialize)]
pub(super) struct Expected {
    event: &'static str,
    lookups: u32,
    messages: u64,
    #[serde(flatten)]
    size: Size,
}

/// How large the network is.
#[derive(Clone, Copy, Debug, Serialize)]
struct Size {
    /// `None` where it is not known.
    peers: Option<f64>,
    relative_error: Option<f64>,
}

impl From<Option<Estimate>> for Size {
    fn from(estimate: Option<Estimate>) -> Self {
        Self {
            peers: estimate.map(|it| rounded(it.peers)),
            relative_error: estimate.map(|it| rounded(it.relative_error)),
        }
    }
}

impl Size {
    fn words(&self) -> String {
        match (self.peers, self.relative_error) {
            (Some(peers), Some(error)) => {
                format!("about {peers:.0} peers, give or take {:.0}", peers * error)
            }
            _ => "an unknown number of peers".to_owned(),
        }
    }

    /// Two columns.
    fn plain(&self) -> String {
        match (self.peers, self.relative_error) {
            (Some(peers), Some(error)) => format!("{peers:.0}\t{error:.4}"),
            _ => "-\t-".to_owned(),
        }
    }
}

impl Expected {
    pub(super) fn new(lookups: u32, messages: u64, estimate: Option<Estimate>) -> Self {
        Self {
            event: "expected",
            lookups,
            messages,
            size: estimate.into(),
        }
    }

    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        let Self {
            lookups, messages, ..
        } = self;
        match form {
            Form::Json => json(self),
            Form::Plain => line(format_args!(
                "expected\t{lookups}\t{messages}\t{}",
                self.size.plain()
            )),
            Form::Terminal => line(format_args!(
                "{}: {lookups} lookups, which take about {messages} messages",
                self.size.words()
            )),
        }
    }
}

/// What a sweep did cost.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) lookups: u64,
    pub(super) messages: u64,
    pub(super) peers_new: usize,
}

#[derive(Serialize)]
struct SeenObject {
    event: &'static str,
    lookups: u64,
    messages: u64,
    peers_new: usize,
}

impl Seen {
    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        let Self {
            lookups,
            messages,
            peers_new,
        } = *self;
        match form {
            Form::Json => json(&SeenObject {
                event: "swept",
                lookups,
                messages,
                peers_new,
            }),
            Form::Plain => line(format_args!("swept\t{lookups}\t{messages}\t{peers_new}")),
            Form::Terminal => line(format_args!(
                "{lookups} lookups took {messages} messages and showed {}",
                text::count(peers_new, "new peer")
            )),
        }
    }
}

#[derive(Serialize)]
struct BucketObject {
    event: &'static str,
    cpl: u8,
    entries: usize,
    doubtful: usize,
    expected: f64,
}

/// The table by bucket, farthest first.
pub(super) fn buckets(form: Form, health: &Health) -> Result<(), Failure> {
    match form {
        Form::Json => health.buckets().iter().try_for_each(|bucket| {
            json(&BucketObject {
                event: "bucket",
                cpl: bucket.cpl.bits(),
                entries: bucket.entries,
                doubtful: bucket.doubtful,
                expected: rounded(bucket.expected),
            })
        }),
        Form::Plain => health
            .buckets()
            .iter()
            .try_for_each(|bucket| line(format_args!("bucket\t{}", cells(bucket).join("\t")))),
        Form::Terminal => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            table.set_header(["BUCKET", "ENTRIES", "DOUBTFUL", "CAN HOLD"]);
            table.add_rows(health.buckets().iter().map(cells));
            for column in table.column_iter_mut() {
                column.set_padding((0, 2));
            }
            line(table.trim_fmt())
        }
    }
}

fn cells(bucket: &BucketHealth) -> [String; 4] {
    [
        bucket.cpl.to_string(),
        bucket.entries.to_string(),
        bucket.doubtful.to_string(),
        format!("{:.1}", bucket.expected),
    ]
}

/// What looking around came to.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) end: End,
    pub(super) coverage: Option<f64>,
    pub(super) peers_seen: usize,
    pub(super) estimate: Option<Estimate>,
    pub(super) entries: usize,
    pub(super) fill: f64,
    pub(super) doubtful_share: f64,
    pub(super) lookups: u64,
    pub(super) messages: u64,
    pub(super) elapsed: Duration,
}

#[derive(Serialize)]
struct SummaryObject {
    event: &'static str,
    end: &'static str,
    coverage: Option<f64>,
    peers_seen: usize,
    #[serde(flatten)]
    size: Size,
    entries: usize,
    fill: f64,
    doubtful_share: f64,
    lookups: u64,
    messages: u64,
    elapsed_millis: u64,
}

impl Summary {
    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        let size = Size::from(self.estimate);
        let object = SummaryObject {
            event: "walk",
            end: self.end.name(),
            coverage: self.coverage.map(rounded),
            peers_seen: self.peers_seen,
            size,
            entries: self.entries,
            fill: rounded(self.fill),
            doubtful_share: rounded(self.doubtful_share),
            lookups: self.lookups,
            messages: self.messages,
            elapsed_millis: millis(self.elapsed),
        };
        match form {
            Form::Json => json(&object),
            Form::Plain => line(format_args!(
                "walk\t{}\t{}\t{}\t{}\t{}\t{:.4}\t{:.4}\t{}\t{}\t{}",
                object.end,
                self.coverage
                    .map_or_else(|| "-".to_owned(), |it| format!("{it:.4}")),
                object.peers_seen,
                size.plain(),
                object.entries,
                object.fill,
                object.doubtful_share,
                object.lookups,
                object.messages,
                object.elapsed_millis,
            )),
            Form::Terminal => self.describe(size),
        }
    }

    fn describe(&self, size: Size) -> Result<(), Failure> {
        let coverage = match self.coverage {
            Some(coverage) => format!(", {}", percent(coverage)),
            None => String::new(),
        };
        let doubtful = match self.doubtful_share > 0.0 {
            true => format!(", {} of them doubtful", percent(self.doubtful_share)),
            false => String::new(),
        };
        line(format_args!(
            "the table has {}{doubtful}: {} of what it can hold",
            entries(self.entries),
            percent(self.fill),
        ))?;
        line(format_args!("the network has {}", size.words()))?;
        line(format_args!(
            "{} seen{coverage}, with {} messages in {} lookups",
            text::count(self.peers_seen, "peer"),
            self.messages,
            self.lookups,
        ))
    }
}

fn entries(count: usize) -> String {
    match count {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    }
}

/// What became of a peer.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    contact: &'a Contact,
    fate: Fate,
    agent: Option<&'a str>,
}

#[derive(Serialize)]
struct ListedObject<'a> {
    event: &'static str,
    peer_id: String,
    fate: &'static str,
    agent: Option<&'a str>,
    addresses: &'a [libp2p::Multiaddr],
}

impl<'a> Listed<'a> {
    pub(super) const fn new(contact: &'a Contact, fate: Fate, agent: Option<&'a str>) -> Self {
        Self {
            contact,
            fate,
            agent,
        }
    }

    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        let (peer, fate) = (&self.contact.peer, self.fate.name());
        let addresses = self.contact.addresses.as_slice();
        let agent = self.agent.map_or_else(|| "-".to_owned(), text::word);
        match form {
            Form::Json => json(&ListedObject {
                event: "peer",
                peer_id: peer.to_string(),
                fate,
                agent: self.agent,
                addresses,
            }),
            Form::Plain => line(format_args!(
                "{fate}\t{peer}\t{agent}\t{}",
                words(addresses)
            )),
            Form::Terminal => line(format_args!(
                "{:<11}  {peer}  {agent}  {}",
                fate.replace('_', " "),
                words(addresses)
            )),
        }
    }
}

/// What a crawl came to.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    event: &'static str,
    end: &'static str,
    known: usize,
    answered: usize,
    not_serving: usize,
    silent: usize,
    waiting: usize,
    left_out: u64,
    messages: u64,
    elapsed_millis: u64,
}

impl Listing {
    pub(super) fn new(end: CrawlEnd, counts: &CrawlCounts) -> Self {
        Self {
            event: "crawl",
            end: end.name(),
            known: counts.known,
            answered: counts.answered,
            not_serving: counts.not_serving,
            silent: counts.silent,
            waiting: counts.waiting(),
            left_out: counts.left_out,
            messages: counts.messages,
            elapsed_millis: millis(counts.elapsed),
        }
    }

    pub(super) fn print(&self, form: Form) -> Result<(), Failure> {
        match form {
            Form::Json => json(self),
            Form::Plain => line(format_args!(
                "crawl\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                self.end,
                self.known,
                self.answered,
                self.not_serving,
                self.silent,
                self.waiting,
                self.left_out,
                self.messages,
                self.elapsed_millis,
            )),
            Form::Terminal => line(format_args!(
                "{}: {} answered, {} silent, {} serving no DHT, {} not asked to the end; {} \
                 messages in {}",
                text::count(self.known, "peer"),
                self.answered,
                self.silent,
                self.not_serving,
                self.waiting,
                self.messages,
                text::duration(self.elapsed_millis / 1_000),
            )),
        }
    }
}
