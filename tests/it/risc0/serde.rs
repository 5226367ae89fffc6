//! Tests values as words. The expected words are the encoding of the same values in risc0-zkvm 3.0.6
//! (`risc0_zkvm::serde::to_vec`).

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tachy::risc0::host::{HostEnv, HostError};
use tachy::risc0::serde::{Error, from_bytes, from_words, to_words};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    signed: (i8, i16, i32, i64, i128),
    unsigned: (u8, u16, u32, u64, u128),
    floats: (f32, f64),
    letter: char,
    text: String,
    list: Vec<u8>,
    array: [u16; 3],
    nothing: (),
    unit: Unit,
    wrapped: Wrapped,
    some: Option<u64>,
    none: Option<u64>,
    map: BTreeMap<String, i8>,
    variants: Vec<Variant>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Variant {
    Plain,
    Wrapped(u8),
    Pair(u8, String),
    Fields { a: bool, b: Option<Box<Variant>> },
}

fn everything() -> Everything {
    Everything {
        flag: true,
        signed: (-1, -2, -3, -4, -5),
        unsigned: (1, 2, 3, 0x0000_0005_0000_0004, 0x0000_0009_0000_0008_0000_0007_0000_0006),
        floats: (1.5, -2.25),
        letter: 'é',
        text: "hällo".to_owned(),
        list: vec![1, 2, 3],
        array: [7, 8, 9],
        nothing: (),
        unit: Unit,
        wrapped: Wrapped(77),
        some: Some(10),
        none: None,
        map: BTreeMap::from([("a".to_owned(), -1), ("bcde".to_owned(), 2)]),
        variants: vec![
            Variant::Plain,
            Variant::Wrapped(5),
            Variant::Pair(6, String::new()),
            Variant::Fields { a: false, b: Some(Box::new(Variant::Plain)) },
        ],
    }
}

/// Printed by the reference.
const EVERYTHING: &[u32] = &[
    0x1, 0xffffffff, 0xfffffffe, 0xfffffffd, 0xfffffffc, 0xffffffff, 0xfffffffb, 0xffffffff, 0xffffffff, 0xffffffff,
    0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0x3fc00000, 0x0, 0xc0020000, 0xe9, 0x6, 0x6ca4c368, 0x6f6c, 0x3, 0x1,
    0x2, 0x3, 0x7, 0x8, 0x9, 0x4d, 0x1, 0xa, 0x0, 0x0, 0x2, 0x1, 0x61, 0xffffffff, 0x4, 0x65646362, 0x2, 0x4, 0x0, 0x1,
    0x5, 0x2, 0x6, 0x0, 0x3, 0x0, 0x1, 0x0,
];

/// A byte string. By default serde writes a list instead.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, words: &[u32]) {
    assert_eq!(to_words(value).expect("it has words"), words, "{value:?}");
    assert_eq!(&from_words::<T>(words).expect("the words are of such a value"), value);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(&from_bytes::<T>(&bytes).expect("the words are of such a value"), value);
    // Words after the value are ignored.
    let longer = [words, &[u32::MAX; 3]].concat();
    assert_eq!(&from_words::<T>(&longer).expect("it is at the beginning"), value);
    for length in 0..words.len() {
        assert!(matches!(from_words::<T>(&words[..length]), Err(Error::End { .. })), "{value:?}, {length} words");
    }
}

#[test]
fn every_kind_of_value_is_written_as_the_reference_does() {
    there_and_back(&everything(), EVERYTHING);
    there_and_back(&Bytes(vec![1, 2, 3, 4, 5]), &[5, 0x0403_0201, 5]);
    there_and_back(&Bytes(vec![]), &[0]);
    there_and_back(&"abcd".to_owned(), &[4, 0x6463_6261]);
    there_and_back(&(u32::MAX, i64::MIN, f32::INFINITY), &[u32::MAX, 0, 0x8000_0000, 0x7f80_0000]);
    there_and_back(&Vec::<String>::new(), &[0]);
    there_and_back(&((), Unit), &[]);
}

#[test]
fn words_that_are_no_such_value_are_refused() {
    assert_eq!(from_words::<bool>(&[2]), Err(Error::Word { what: "bool", word: 2 }));
    assert_eq!(from_words::<char>(&[0xd800]), Err(Error::Word { what: "char", word: 0xd800 }));
    assert_eq!(from_words::<Option<u8>>(&[2, 0]), Err(Error::Word { what: "option", word: 2 }));
    assert_eq!(from_words::<String>(&[1, 0xff]), Err(Error::Utf8));
    assert!(matches!(from_words::<u8>(&[256]), Err(Error::Message(_))));
    assert!(matches!(from_words::<i16>(&[0x8000]), Err(Error::Message(_))));
    assert!(matches!(from_words::<Variant>(&[4]), Err(Error::Message(_))));
    assert!(matches!(from_words::<serde_json::Value>(&[1]), Err(Error::Unsupported(_))));
}

#[test]
fn a_length_is_believed_as_far_as_there_are_words() {
    assert!(matches!(from_words::<String>(&[u32::MAX, 0]), Err(Error::End { needed: 0xffff_ffff, found: 4 })));
    assert!(matches!(from_words::<Bytes>(&[5, 0]), Err(Error::End { needed: 5, found: 4 })));
    assert!(matches!(from_words::<Vec<u64>>(&[u32::MAX, 1, 2]), Err(Error::End { .. })));
    assert!(matches!(from_words::<BTreeMap<u8, u8>>(&[u32::MAX, 1, 2, 3]), Err(Error::End { .. })));
}

/// Four billion empty values in one word, and a few more.
#[test]
fn elements_without_content_are_counted() {
    assert_eq!(from_words::<Vec<()>>(&[65_536]).map(|units| units.len()), Ok(65_536));
    for words in [&[65_537][..], &[u32::MAX], &[u32::MAX, 1, 2, 3]] {
        assert_eq!(from_words::<Vec<()>>(words), Err(Error::Empty(65_536)), "{words:?}");
        assert!(matches!(from_words::<Vec<[Unit; 2]>>(words), Err(Error::Empty(_))), "{words:?}");
        assert!(matches!(from_words::<BTreeMap<(), ()>>(words), Err(Error::Empty(_))), "{words:?}");
    }
    assert_eq!(from_words::<Vec<Vec<()>>>(&[3, 30_000, 30_000, 30_000]), Err(Error::Empty(65_536)));
    // Even an empty list takes a word for its length.
    let words = [vec![100_000], vec![0; 100_000]].concat();
    assert_eq!(from_words::<Vec<Vec<()>>>(&words).map(|lists| lists.len()), Ok(100_000));
}

#[derive(Debug, PartialEq, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[derive(Debug, PartialEq, Deserialize)]
struct Tree(Vec<Tree>);

#[derive(Debug, PartialEq, Deserialize)]
enum Link {
    #[allow(dead_code, reason = "read, never looked at")]
    Next(Box<Link>),
}

#[derive(Debug, PartialEq, Deserialize)]
struct Index(BTreeMap<u32, Index>);

/// Recursive types, as deep as the words say: a million levels would overflow the stack.
#[test]
fn values_inside_each_other_are_counted() {
    let deep = |word: u32| vec![word; 1_000_000];
    assert_eq!(from_words::<Chain>(&deep(1)), Err(Error::Depth(128)));
    assert_eq!(from_words::<Tree>(&deep(1)), Err(Error::Depth(128)));
    assert_eq!(from_words::<Link>(&deep(0)), Err(Error::Depth(128)));
    assert_eq!(from_words::<Index>(&deep(1)), Err(Error::Depth(128)));
    let words = [vec![1; 128], vec![0]].concat();
    assert!(from_words::<Chain>(&words).is_ok());
    // Values side by side are not nested.
    let words = [vec![10_000], [1, 0].repeat(10_000)].concat();
    assert_eq!(from_words::<Vec<Chain>>(&words).map(|chains| chains.len()), Ok(10_000));
}

#[test]
fn a_journals_last_word_may_be_cut_off() {
    assert_eq!(from_bytes::<u32>(&[1, 2]), Ok(0x0201));
    assert_eq!(from_bytes::<String>(&[5, 0, 0, 0, b'a', b'b', b'c', b'd', b'e']), Ok("abcde".to_owned()));
    assert_eq!(from_bytes::<u64>(&[1, 0, 0, 0, 2]), Ok(0x2_0000_0001));
    assert!(matches!(from_bytes::<u64>(&[1, 0, 0, 0]), Err(Error::End { needed: 8, found: 4 })));
}

#[test]
fn sequences_must_know_their_length() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(std::iter::from_fn(|| Some(1)).take_while(|_| false))
        }
    }
    assert_eq!(to_words(&Endless), Err(Error::Unsupported("sequence of unknown length")));
}

/// A length is a word. A longer value is refused before any of it is written.
#[test]
fn lengths_must_fit_into_a_word() {
    struct Long;
    impl Serialize for Long {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serde::ser::SerializeSeq::end(serializer.serialize_seq(Some(1 << 32))?)
        }
    }
    assert_eq!(to_words(&Long), Err(Error::Length(1 << 32)));
    let written = HostEnv::builder().write(&Long).map(drop);
    assert!(matches!(written, Err(HostError::Words(Error::Length(_)))), "{written:?}");
}
