//! Reads values from words. The words may come from a guest. A length is trusted only up to the available words.
//! Elements that take no words, and deep nesting, are counted.
//!
//! This file must not know where words come from.

use ::serde::Deserializer;
use ::serde::de::{DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess};
use ::serde::de::{VariantAccess, Visitor};

use super::Error;

/// Maximum nesting of options, sequences, maps and enumerations. A type that contains itself must not exhaust the
/// stack.
const DEPTH: usize = 128;
/// Maximum number of elements that take no words, over the whole value. A length of one word must not stand for four
/// billion of them.
const EMPTY_ELEMENTS: usize = 1 << 16;

/// Reads the value at the beginning of `words`, and ignores the rest.
///
/// # Errors
/// Refuses words that are not such a value or end too early, and types that need a self-describing format, such as
/// `serde_json::Value`. Refuses more than 128 nested values, and more than 65,536 elements without content.
pub fn from_words<T: DeserializeOwned>(words: &[u32]) -> Result<T, Error> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    from_bytes(&bytes)
}

/// Reads the same from the words' bytes. An incomplete last word is padded with zeros.
///
/// # Errors
/// Fails as [`from_words`] does.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    T::deserialize(&mut Reader { bytes, depth: 0, empty_elements: 0 })
}

struct Reader<'bytes> {
    bytes: &'bytes [u8],
    /// Current nesting of values that may contain their own kind.
    depth: usize,
    /// Number of elements so far that took no words.
    empty_elements: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Result<u32, Error> {
        self.take().map(u32::from_le_bytes)
    }

    /// Takes the next `N` bytes, which are whole words.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.bytes.len().next_multiple_of(4) < N {
            return Err(Error::End { needed: N, found: self.bytes.len() });
        }
        let mut taken = [0; N];
        taken.iter_mut().zip(self.bytes).for_each(|(taken, byte)| *taken = *byte);
        self.bytes = self.bytes.get(N..).unwrap_or_default();
        Ok(taken)
    }

    /// Reads a value that may contain its own kind.
    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == DEPTH {
            return Err(Error::Depth(DEPTH));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Reads a length and as many bytes, padded to whole words.
    fn buffer(&mut self) -> Result<Vec<u8>, Error> {
        let length = self.word()? as usize;
        let found = self.bytes.len();
        if length > found.next_multiple_of(4) {
            return Err(Error::End { needed: length, found });
        }
        let mut buffer = self.bytes.get(..length).unwrap_or(self.bytes).to_vec();
        buffer.resize(length, 0);
        self.bytes = self.bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Ok(buffer)
    }
}

/// Deserializes types of one word or more.
macro_rules! numbers {
    ($($method:ident: $visit:ident($number:ty)),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(<$number>::from_le_bytes(self.take()?))
        })*
    };
}

/// Refuses types that cannot be read without knowledge of the type.
macro_rules! unsupported {
    ($($method:ident: $what:literal),*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::Unsupported($what))
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    // Small numbers are passed on in 32 bits, so that the visitor refuses one that is out of range.
    numbers!(
        deserialize_i8: visit_i32(i32),
        deserialize_i16: visit_i32(i32),
        deserialize_i32: visit_i32(i32),
        deserialize_i64: visit_i64(i64),
        deserialize_i128: visit_i128(i128),
        deserialize_u8: visit_u32(u32),
        deserialize_u16: visit_u32(u32),
        deserialize_u32: visit_u32(u32),
        deserialize_u64: visit_u64(u64),
        deserialize_u128: visit_u128(u128),
        deserialize_f32: visit_f32(f32),
        deserialize_f64: visit_f64(f64)
    );

    unsupported!(
        deserialize_any: "types of its own",
        deserialize_identifier: "names",
        deserialize_ignored_any: "way to skip a value"
    );

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.word()? {
            word @ 0..=1 => visitor.visit_bool(word == 1),
            word => Err(Error::Word { what: "bool", word }),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let word = self.word()?;
        visitor.visit_char(char::from_u32(word).ok_or(Error::Word { what: "char", word })?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(String::from_utf8(self.buffer()?).map_err(|_| Error::Utf8)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.buffer()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.word()? {
            0 => visitor.visit_none(),
            1 => self.inside(|reader| visitor.visit_some(reader)),
            word => Err(Error::Word { what: "option", word }),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.word()? as usize;
        self.inside(|reader| visitor.visit_seq(Parts { reader, left }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, parts: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { reader: self, left: parts })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        parts: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(parts, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.word()? as usize;
        self.inside(|reader| visitor.visit_map(Parts { reader, left }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.inside(|reader| visitor.visit_enum(reader))
    }
}

/// The parts of a sequence, tuple, structure or map.
struct Parts<'reader, 'bytes> {
    reader: &'reader mut Reader<'bytes>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let before = self.reader.bytes.len();
        let element = seed.deserialize(&mut *self.reader)?;
        if self.reader.bytes.len() == before {
            self.reader.empty_elements += 1;
            if self.reader.empty_elements > EMPTY_ELEMENTS {
                return Err(Error::Empty(EMPTY_ELEMENTS));
            }
        }
        Ok(Some(element))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.bytes.len()))
    }
}

impl<'de> MapAccess<'de> for Parts<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.bytes.len()))
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let index = self.word()?;
        Ok((seed.deserialize(index.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Reader<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, parts: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(parts, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
