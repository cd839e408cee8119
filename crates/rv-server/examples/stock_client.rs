//! The stock rust client at a point that runs elsewhere.
//!
//! `cargo run --release -p rv-server --example stock_client -- ADDRESS`, with an address that
//! `rv serve` printed.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

#[path = "common/stock.rs"]
mod stock;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("give the address of a point")?;
    let client = stock::register_and_discover(address.parse()?);
    tokio::time::timeout(Duration::from_secs(30), client).await?
}
