//! Protobuf field by field, where a whole-message decoder would be too forgiving or too generous.
//!
//! Records are read with it. A record that we take in goes out to readers in other languages, and
//! some of their decoders fail on what others skip (group fields, for one), so such bytes must not
//! get in.

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// 4 or 8 bytes; no message of ours has one.
    Fixed,
}

/// The bytes are not a sequence of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message, in their order. Ends after the first [`Malformed`].
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn read(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let value = match tag & 0b111 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let bytes = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(bytes)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, bytes) = read_varint(self.rest).map_err(|_| Malformed)?;
        self.take(bytes)?;
        Ok(value)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// How often a field of that number, holding bytes, is there. What is malformed counts as the end.
pub(crate) fn count(message: &[u8], number: u32) -> usize {
    each(message, number).count()
}

/// The fields of that number that hold bytes, until the end or the first malformed one.
pub(crate) fn each(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message)
        .map_while(Result::ok)
        .filter_map(move |(found, value)| match value {
            Value::Bytes(bytes) if found == number => Some(bytes),
            Value::Bytes(_) | Value::Varint(_) | Value::Fixed => None,
        })
}

/// Why there is no number at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VarintError {
    /// It may go on in bytes that are not there yet.
    Incomplete,
    /// It does not fit 64 bits.
    Overflow,
}

/// The number at the start of `bytes`, and how many bytes it takes.
pub(crate) fn read_varint(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        // Room for one bit is left, and none for another byte.
        if index == VARINT_BYTES_MAX - 1 && *byte > 1 {
            return Err(VarintError::Overflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, index + 1));
        }
    }
    Err(VarintError::Incomplete)
}

/// 64 bits, 7 a byte.
const VARINT_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read() {
        for shift in 0..64 {
            let value = u64::MAX >> shift;
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            let len = bytes.len();
            assert_eq!(read_varint(&bytes), Ok((value, len)));
            assert_eq!(read_varint(&bytes[..len - 1]), Err(VarintError::Incomplete));
        }
        assert_eq!(read_varint(&[0xff; 10]), Err(VarintError::Overflow));
        let bit_65 = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(read_varint(&bit_65), Err(VarintError::Overflow));
    }

    #[test]
    fn groups_and_unknown_wire_types_are_malformed() {
        for tag in [0x0b, 0x0c, 0x0e, 0x0f, 0x00, 0x02] {
            let bytes = [tag, 0, 0x0c];
            let fields: Vec<_> = Fields::new(&bytes).collect();
            assert_eq!(fields, [Err(Malformed)], "tag {tag:#x}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_malformed() {
        let huge = [
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];
        assert_eq!(Fields::new(&huge).collect::<Vec<_>>(), [Err(Malformed)]);
        assert_eq!(
            Fields::new(&[0x0a, 2, 0]).collect::<Vec<_>>(),
            [Err(Malformed)]
        );
    }

    #[test]
    fn every_kind_of_field_is_passed_over() {
        let bytes = [
            8, 1, 0x12, 1, 9, 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0,
        ];
        let fields: Vec<_> = Fields::new(&bytes)
            .map(|field| field.expect("well formed"))
            .collect();
        let wanted = [
            (1, Value::Varint(1)),
            (2, Value::Bytes(&[9])),
            (3, Value::Fixed),
            (4, Value::Fixed),
            (2, Value::Bytes(&[])),
        ];
        assert_eq!(fields, wanted);
        assert_eq!(count(&bytes, 2), 2);
    }
}
