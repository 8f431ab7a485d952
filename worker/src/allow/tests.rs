use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn list(patterns: &str) -> AllowList {
    AllowList::parse([patterns]).unwrap()
}

fn refused(pattern: &str) -> String {
    pattern.parse::<Pattern>().unwrap_err()
}

#[test]
fn the_cluster_is_what_its_services_are_called() {
    let cluster = AllowList::cluster();
    assert_eq!(cluster, list("*.svc.cluster.local, *.svc"));
    for inside in
        ["hello.default.svc.cluster.local", "hello.default.svc", "a.b.c.svc.cluster.local.", "Hello.Default.SVC"]
    {
        assert!(cluster.allows(inside, 80), "{inside}");
    }
    for outside in
        ["hello", "hello.default", "svc", "svc.cluster.local", "xsvc", "a.svc.cluster.local.evil.com", "10.0.0.1"]
    {
        assert!(!cluster.allows(outside, 80), "{outside}");
    }
}

#[test]
fn a_name_is_itself_and_no_other() {
    let shop = list("shop.example.com");
    assert!(shop.allows("SHOP.example.com.", 443));
    for other in
        ["www.shop.example.com", "example.com", "shopexample.com", "shop.example.com..", "shop.example.com:443"]
    {
        assert!(!shop.allows(other, 443), "{other}");
    }
    let one = list("shop.*.svc");
    assert!(one.allows("shop.default.svc", 80));
    assert!(!one.allows("shop.a.b.svc", 80) && !one.allows("shop.svc", 80));
    let many = list("*.*.svc");
    assert!(many.allows("a.b.svc", 80) && many.allows("a.b.c.svc", 80) && !many.allows("a.svc", 80));
}

#[test]
fn a_port_is_asked_for_where_it_is_written() {
    for (patterns, host) in [
        ("shop:8080", "shop"),
        ("*:8080", "anything.at.all"),
        ("*.svc:8080", "a.b.svc"),
        ("10.0.0.0/8:8080", "10.1.2.3"),
        ("[fd00::7]:8080", "fd00::7"),
        ("[fd00::/8]:8080", "[fd12::1]"),
    ] {
        let list = list(patterns);
        assert!(list.allows(host, 8080) && !list.allows(host, 8081), "{patterns}");
        assert_eq!(list.to_string(), patterns);
    }
}

#[test]
fn networks_are_of_addresses_alone() {
    let list = list("10.0.0.0/8, fd00::/8, 192.0.2.7");
    for inside in ["10.255.0.1", "fdff::1", "[fd00::1]", "192.0.2.7", "::ffff:10.0.0.1", "[::ffff:192.0.2.7]"] {
        assert!(list.allows(inside, 80), "{inside}");
    }
    for outside in
        ["11.0.0.1", "fe00::1", "192.0.2.8", "::ffff:11.0.0.1", "::10.0.0.1", "ten.example.com", "fd00::1%eth0"]
    {
        assert!(!list.allows(outside, 80), "{outside}");
    }
    let all4 = self::list("0.0.0.0/0");
    assert!(all4.allows("203.0.113.9", 1) && !all4.allows("::1", 1) && !all4.allows("localhost", 1));
    assert!(self::list("::/0").allows("2001:db8::1", 1));
    assert_eq!(self::list("::ffff:10.0.0.0/104"), self::list("10.0.0.0/8"));
}

#[test]
fn localhost_is_the_loopback() {
    let list = list("localhost");
    for inside in ["localhost", "LocalHost.", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"] {
        assert!(list.allows(inside, 80), "{inside}");
    }
    for outside in ["a.localhost", "127.1", "0.0.0.0", "::", "localhost.example.com"] {
        assert!(!list.allows(outside, 80), "{outside}");
    }
}

#[test]
fn odd_hosts_pass_with_a_star_alone() {
    let all_but_star = list("0.0.0.0/0, ::/0, *.com, *.1x, localhost, *.svc");
    let odd = ["127.1", "0x7f.1", "0x7f.0.0.0x", "2130706433", "0177.0.0.1", "010.0.0.1", "1.2.3.4.", "1.2.3.4.5", ""];
    let unclear = [
        "a%2ecom",
        "evil.com#.svc",
        "a b.com",
        "a@b.com",
        "a/b.com",
        "\u{ff11}.com",
        ".com",
        "a..com",
        "[::1",
        "a.com\0",
    ];
    for host in odd.iter().chain(&unclear) {
        assert!(!all_but_star.allows(host, 80), "{host}");
        assert!(AllowList::everything().allows(host, 80), "{host}");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let cluster = AllowList::cluster();
    assert_eq!(
        cluster.check("shop.example.com.", 80).unwrap_err().to_string(),
        "target shop.example.com:80 is outside the allow-list (*.svc.cluster.local, *.svc): add it with --allow \
         shop.example.com, or targets.allow in the chart"
    );
    let refusal = cluster.check("fd00::1", 80).unwrap_err().to_string();
    assert!(refusal.contains("target [fd00::1]:80") && refusal.contains("--allow fd00::1,"), "{refusal}");
    let refusal = cluster.check("127.1", 80).unwrap_err().to_string();
    assert!(refusal.contains("full decimal form, which no pattern but '*' allows"), "{refusal}");
    assert!(cluster.check("a.b.svc", 80).is_ok());
    let refusal = list("a,b,c,d,e,f,g,h").check("x", 1).unwrap_err().to_string();
    assert!(refusal.contains("(a, b, c, d, e, f and 2 more)"), "{refusal}");
    let port = list("x:80").check("x", 81).unwrap_err().to_string();
    assert!(port.contains("target x:81 is outside the allow-list (x:80)"), "{port}");
}

#[test]
fn what_is_no_pattern_says_what_to_write() {
    for (pattern, mend) in [
        ("http://shop", "without scheme"),
        ("shop/path", "without a path"),
        ("", "write a host"),
        ("shop:0", "1 to 65535"),
        ("shop:http", "'http' is no port"),
        ("shop:", "'' is no port"),
        ("10.1.2.3/8", "is 10.0.0.0/8"),
        ("fd12::/8", "is fd00::/8"),
        ("10.0.0.0/33", "0 to 32"),
        ("10.0.0.0/+8", "0 to 32"),
        ("127.1", "in full"),
        ("*.1", "in full"),
        ("0x7f.1", "in full"),
        ("shop-*.svc", "whole labels"),
        ("svc.*", "to the left"),
        ("*.*", "to the left"),
        ("a..b", "two dots"),
        ("sh op", "'sh op' is no label"),
        ("b\u{fc}cher.example", "xn--"),
        ("[shop]:80", "brackets are for IPv6"),
        ("[::1", "] is missing"),
        ("[fd00::]/8", "[fd00::/8]:80"),
        ("fe80::1%eth0", "'fe80::1%eth0' is no label"),
    ] {
        let error = refused(pattern);
        assert!(error.contains(mend) && error.contains("is no pattern of targets"), "{pattern}: {error}");
    }
    let error = AllowList::parse([" , "]).unwrap_err();
    assert!(error.contains("empty"), "{error}");
    assert!(AllowList::parse(["*"]).unwrap().is_everything() && !list("*:80").is_everything());
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-z][a-z0-9_-]{0,6}", 1..5).prop_map(|labels| labels.join("."))
}

/// Forms of an IPv4 address that resolvers take, other than the usual one.
fn odd_forms(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let all = address.to_bits();
    vec![
        format!("{all}"),
        format!("{all:#x}"),
        format!("0{all:o}"),
        format!("{a}.{}", all & 0x00ff_ffff),
        format!("{a}.{b}.{}", all & 0xffff),
        format!("{a:#x}.{b:#X}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d:#x}"),
        format!("0{a:o}.{b}.{c}.0{d:o}"),
        format!("{address}."),
    ]
}

proptest! {
    #[test]
    fn case_and_a_dot_at_the_end_make_no_difference(pattern in name(), host in name(), port in 1u16..) {
        for pattern in [pattern.clone(), format!("*.{pattern}")] {
            let lists = [list(&pattern), list(&pattern.to_uppercase()), list(&format!("{pattern}."))];
            for host in [host.clone(), format!("{host}.{}", pattern.trim_start_matches("*."))] {
                let expected = lists[0].allows(&host, port);
                for list in &lists {
                    prop_assert_eq!(list.allows(&host.to_uppercase(), port), expected);
                    prop_assert_eq!(list.allows(&format!("{host}."), port), expected);
                }
            }
        }
    }

    #[test]
    fn below_a_name_is_what_ends_in_it(suffix in name(), host in name(), joint in prop::sample::select(vec![".", "", "-"])) {
        let list = list(&format!("*.{suffix}"));
        let whole = format!("{host}{joint}{suffix}");
        prop_assert!(!list.allows(&suffix, 80));
        prop_assert_eq!(list.allows(&whole, 80), whole.ends_with(&format!(".{suffix}")));
        let behind = format!("{suffix}.{host}");
        prop_assert_eq!(list.allows(&behind, 80), behind.ends_with(&format!(".{suffix}")));
    }

    #[test]
    fn a_network_has_the_addresses_that_share_its_bits(base in any::<u32>(), other in any::<u32>(), near in 0u32..33, prefix in 0u32..33) {
        // Bit for bit, and with addresses that are near as well as far.
        let mask = |value: u32, bits: u32| (0..bits).map(|bit| 31 - bit).filter(|bit| value >> bit & 1 == 1).map(|bit| 1 << bit).sum::<u32>();
        let network = mask(base, prefix);
        let other = mask(base, near) | (other & !mask(u32::MAX, near));
        let list = list(&format!("{}/{prefix}", Ipv4Addr::from_bits(network)));
        let expected = mask(other, prefix) == network;
        prop_assert_eq!(list.allows(&Ipv4Addr::from_bits(other).to_string(), 80), expected);
        let mapped = Ipv4Addr::from_bits(other).to_ipv6_mapped();
        prop_assert_eq!(list.allows(&format!("[{mapped}]"), 80), expected);
        prop_assert_eq!(list.allows(&Ipv6Addr::from_bits(u128::from(other)).to_string(), 80), false);
        if network != base {
            let loose = format!("{}/{prefix}", Ipv4Addr::from_bits(base));
            prop_assert!(loose.parse::<Pattern>().is_err());
        }
    }

    #[test]
    fn an_ipv6_network_has_the_addresses_that_share_its_bits(base in any::<u128>(), flip in 0u32..128, prefix in 0u32..129) {
        let base = if prefix == 0 { 0 } else { base >> (128 - prefix) << (128 - prefix) };
        prop_assume!(Ipv6Addr::from_bits(base).to_ipv4_mapped().is_none());
        let list = list(&format!("{}/{prefix}", Ipv6Addr::from_bits(base)));
        let other = Ipv6Addr::from_bits(base ^ 1 << (127 - flip));
        prop_assume!(other.to_ipv4_mapped().is_none());
        prop_assert!(list.allows(&Ipv6Addr::from_bits(base).to_string(), 80));
        prop_assert_eq!(list.allows(&other.to_string(), 80), flip >= prefix);
    }

    #[test]
    fn no_form_of_an_address_slips_through(bits in any::<u32>(), name in name()) {
        let lists = list(&format!("0.0.0.0/0, ::/0, localhost, *.{name}, {name}"));
        for form in odd_forms(Ipv4Addr::from_bits(bits)) {
            prop_assert!(!lists.allows(&form, 80), "{}", form);
            prop_assert!(form == format!("{}.", Ipv4Addr::from_bits(bits)) || form.parse::<Pattern>().is_err(), "{}", form);
        }
    }

    #[test]
    fn what_is_shown_is_read_back(text in "[a-z0-9*:/\\[\\].-]{0,24}|\\PC{0,12}") {
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert_eq!(pattern.to_string().parse::<Pattern>(), Ok(pattern));
        }
    }

    #[test]
    fn whatever_is_asked_has_an_answer_and_a_strange_one_is_no(host in "\\PC{0,40}", port in any::<u16>()) {
        let lists = list("*.svc, *.com, 10.0.0.0/8, ::/0, localhost");
        let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
        prop_assert!(plain || !lists.allows(&host, port));
        prop_assert_eq!(lists.check(&host, port).is_ok(), lists.allows(&host, port));
    }
}
