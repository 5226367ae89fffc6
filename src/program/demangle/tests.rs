//! Tests of names in each mangling scheme, and of malicious names. They must not know where names come from.

use super::*;

/// Names that compilers wrote (rustc 1.95, gcc 12, clang 19), and their source form.
#[test]
fn names_of_compilers() {
    let pairs = [
        // Rust, both schemes.
        ("_RNvMNtNtCskK7mfDs1mzF_1m4deep2erINtB2_5ThingmE7load_itB6_", "<m::deep::er::Thing<u32>>::load_it"),
        ("_ZN1m4deep2er14Thing$LT$T$GT$7load_it17h18117363fe386269E", "m::deep::er::Thing<T>::load_it"),
        ("_ZN4core3ptr13read_volatile17h0123456789abcdefE", "core::ptr::read_volatile"),
        ("_RNvC6_123foo3bar", "123foo::bar"),
        ("_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y", "utf8_idents::საჭმელად_გემრიელი_სადილი"),
        ("_ZN3foo3bar17h05af221e174051e9E.llvm.9D1C9369", "foo::bar"),
        // C++, including a clone that a compiler made.
        ("_ZN2ns4lookEj", "ns::look(unsigned int)"),
        ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back(int const&)"),
        ("_Z3foov.constprop.0", "foo() [clone .constprop.0]"),
        // Neither scheme: unchanged.
        ("main", "main"),
        ("_start", "_start"),
        ("_Zero", "_Zero"),
        ("_Reset", "_Reset"),
        ("ZN3foo3barE", "ZN3foo3barE"),
        ("RNvC6_123foo3bar", "RNvC6_123foo3bar"),
        ("_ZN3foo", "_ZN3foo"),
        ("", ""),
    ];
    for (mangled, readable) in pairs {
        assert_eq!(demangled(mangled), readable);
    }
}

/// Rust identifiers can encode characters that control a terminal.
#[test]
fn what_a_terminal_obeys_is_replaced() {
    // U+202E in Punycode.
    assert_eq!(demangled("_RNvC1au5a_qin"), "a::a\u{fffd}");
}

/// A tuple of two copies of the previous tuple, and so on: each level doubles the output.
#[test]
fn names_that_grow_beyond_measure_stay_as_they_are() {
    let short = nested_tuples(2);
    assert_eq!(
        demangled(&short),
        "a::<(i32, i32), ((i32, i32), (i32, i32)), (((i32, i32), (i32, i32)), ((i32, i32), (i32, i32)))>"
    );
    let name = nested_tuples(60);
    assert!(rustc_demangle::try_demangle(&name).is_ok(), "it is a name: {name}");
    assert_eq!(demangled(&name), name);
    // In C++, by substitutions.
    let mut name = "_Z1f1aIiiE".to_owned();
    for level in 0..30 {
        let _ = write!(name, "1aIS{level}_S{level}_E", level = base_36(level));
    }
    assert!(demangled(&name).len() <= MAX_BYTES.max(name.len()));
    // Longer than the limit.
    let name = format!("_ZN{}{}E", 5000, "x".repeat(5000));
    assert_eq!(demangled(&name), name);
}

fn nested_tuples(levels: usize) -> String {
    let mut name = "_RIC1aTllE".to_owned();
    let mut before = "_RIC1a".len();
    for _ in 0..levels {
        let at = name.len();
        let reference = match before - 2 {
            0 => "B_".to_owned(),
            more => format!("B{}_", base_62(more - 1)),
        };
        let _ = write!(name, "T{reference}{reference}E");
        before = at;
    }
    name.push('E');
    name
}

/// Damaged names either demangle or stay as they are, but decoding always ends.
#[test]
fn damaged_names_end() {
    let names = [
        "_RNvMNtNtCskK7mfDs1mzF_1m4deep2erINtB2_5ThingmE7load_itB6_",
        "_RINvNtC3std3mem8align_ofFUdEuE",
        "_ZNSt3mapISsSt4pairIKSsiESt4lessISsESaIS2_EE6insertEOS2_",
        "_ZN5boost6detail7variant13visitation_implIN4mpl_4int_ILi0EEENS1_18visitation_impl_stepEEEvi",
        "_ZNK1aIXadL_Z1bvEEJT_DpT0_EE1cIZ1dvEUlT_E_EEDTcl1eEEv",
    ];
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let alphabet = b"_0123456789NESTIJRKZLBCDFGHMOPQUVWXYabcdefilmnoprstuvwxyz$.";
    for round in 0..20_000 {
        let mut name = names[round % names.len()].as_bytes().to_vec();
        for _ in 0..1 + random() % 6 {
            let at = 2 + random() % (name.len() - 2);
            match random() % 3 {
                0 => name[at] = alphabet[random() % alphabet.len()],
                1 => name.insert(at, alphabet[random() % alphabet.len()]),
                _ => {
                    let from = 2 + random() % (name.len() - 2);
                    let part = name[at.min(from)..at.max(from)].to_vec();
                    name.splice(at..at, part);
                }
            }
        }
        let name = String::from_utf8(name).unwrap();
        assert!(demangled(&name).len() <= 3 * MAX_BYTES.max(name.len()), "{name}");
    }
}

/// Writes a number as Rust's mangling does.
fn base_62(number: usize) -> String {
    digits(number, b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

/// Writes a number as C++'s mangling does.
fn base_36(number: usize) -> String {
    digits(number, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

fn digits(number: usize, digits: &[u8]) -> String {
    let base = digits.len();
    let high = if number >= base { self::digits(number / base, digits) } else { String::new() };
    high + std::str::from_utf8(&digits[number % base..][..1]).unwrap()
}
