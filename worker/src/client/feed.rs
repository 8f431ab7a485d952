//! Rows of values that templates draw from: which row a request gets is a function of its number alone, so that no two
//! workers have to agree on anything.

use loadgrid_proto::v1;

use crate::mix::split_mix;

/// Which row a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, and from the start again.
    Sequential,
    Random,
    /// One after the other; each at most once in the whole test.
    Once,
}

/// A table of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub name: String,
    pub columns: Vec<String>,
    pub order: Order,
    /// Row by row; as many a row as there are columns.
    pub values: Vec<String>,
}

impl Feed {
    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        (self.values.len() / self.columns.len().max(1)) as u64
    }

    /// The value of a column in the row of request `number`.
    pub fn value(&self, column: usize, number: u64, seed: u64) -> &str {
        let rows = self.rows().max(1);
        let row = match self.order {
            Order::Sequential | Order::Once => number % rows,
            Order::Random => split_mix(seed ^ split_mix(number)) % rows,
        };
        self.values.get(row as usize * self.columns.len() + column).map_or("", String::as_str)
    }
}

impl From<v1::Feed> for Feed {
    fn from(message: v1::Feed) -> Self {
        let order = match message.order() {
            v1::feed::Order::Sequential => Order::Sequential,
            v1::feed::Order::Random => Order::Random,
            v1::feed::Order::Once => Order::Once,
        };
        Feed { order, name: message.name, columns: message.columns, values: message.values }
    }
}

impl From<&Feed> for v1::Feed {
    fn from(feed: &Feed) -> Self {
        let order = match feed.order {
            Order::Sequential => v1::feed::Order::Sequential,
            Order::Random => v1::feed::Order::Random,
            Order::Once => v1::feed::Order::Once,
        };
        v1::Feed {
            name: feed.name.clone(),
            columns: feed.columns.clone(),
            order: order as i32,
            values: feed.values.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(order: Order) -> Feed {
        let values = (0..10).flat_map(|row| [format!("a{row}"), format!("b{row}")]).collect();
        Feed { name: "users".into(), columns: vec!["a".into(), "b".into()], order, values }
    }

    #[test]
    fn rows_follow_the_number() {
        let feed = feed(Order::Sequential);
        assert_eq!((feed.rows(), feed.value(0, 3, 1), feed.value(1, 13, 1)), (10, "a3", "b3"));
    }

    #[test]
    fn random_rows_are_the_same_for_all_columns_and_cover_the_table() {
        let feed = feed(Order::Random);
        let rows: std::collections::BTreeSet<&str> = (0..200).map(|number| feed.value(0, number, 9)).collect();
        assert_eq!(rows.len(), 10);
        for number in 0..50 {
            assert_eq!(feed.value(0, number, 9)[1..], feed.value(1, number, 9)[1..]);
        }
        assert!((0..50).any(|number| feed.value(0, number, 9) != feed.value(0, number, 10)), "the seed matters");
    }

    #[test]
    fn survives_the_wire() {
        let sent = feed(Order::Once);
        assert_eq!(Feed::from(v1::Feed::from(&sent)), sent);
    }
}
