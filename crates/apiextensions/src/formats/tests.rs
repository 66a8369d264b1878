use super::*;

#[test]
fn forms_fit_what_upstream_takes() {
    let cases: [(&str, &[&str], &[&str]); 24] = [
        ("bsonobjectid", &["507f1f77bcf86cd799439011"], &["", "507f1f77bcf86cd79943901"]),
        (
            "uri",
            &[
                "http://a.b/c?d=e",
                "/path",
                "mailto:x@y",
                "http://[::1]:80/",
                "http://u:p@h",
                "*",
                "a:b",
                "http://h/%41",
            ],
            &["", "a/b", ":foo", "http://a b/", "http://h:x/", "http://h/%zz", "http://[::1", "a\u{7f}:b"],
        ),
        (
            "email",
            &["a@b", "a.b@c.de", "Some One <a@b.c>", "\"x y\"@b.c", "<a@b>", "a@[1.2.3.4]", "é@b"],
            &["", "a", "a@", "@b", "a..b@c", "a b@c", "x <a@b"],
        ),
        (
            "hostname",
            &["a", "example.com", "a-b.example.com", "müller.de", "a1"],
            &["", "-a", "a_b", "a..b", "example.1", "a."],
        ),
        ("ipv4", &["1.2.3.4", "01.2.3.4", "::ffff:1.2.3.4"], &["1.2.3", "1.2.3.256", "::1", "a.b.c.d"]),
        ("ipv6", &["::1", "fe80::1", "::ffff:1.2.3.4"], &["1.2.3.4", "fe80::1%eth0", ":::"]),
        ("cidr", &["10.0.0.0/8", "::/0", "010.0.0.0/8"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "::/129"]),
        (
            "mac",
            &["01:23:45:67:89:ab", "01-23-45-67-89-AB", "0123.4567.89ab", "01:23:45:67:89:ab:cd:ef"],
            &["01:23:45:67:89", "01:23:45:67:89:a", "0123-4567-89ab"],
        ),
        (
            "uuid",
            &["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B8109DAD11D180B400C04FD430C8"],
            &["6ba7b810-9dad-11d1-80b4-00c04fd430c", "x"],
        ),
        ("uuid3", &["6ba7b810-9dad-31d1-00b4-00c04fd430c8"], &["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]),
        ("uuid4", &["6ba7b810-9dad-41d1-80b4-00c04fd430c8"], &["6ba7b810-9dad-41d1-00b4-00c04fd430c8"]),
        ("uuid5", &["6ba7b810-9dad-51d1-B0b4-00c04fd430c8"], &["6ba7b810-9dad-41d1-80b4-00c04fd430c8"]),
        ("isbn", &["0321751043", "978-0321751041", "080442957X"], &["0321751044", "9780321751042", ""]),
        ("isbn10", &["0-321-75104-3"], &["978-0321751041"]),
        ("isbn13", &["978 0321751041"], &["0321751043"]),
        (
            "creditcard",
            &["4012-8888-8888-1881", "378282246310005"],
            &["4012888888881882", "1234567890123", ""],
        ),
        ("ssn", &["111-11-1111", "111 11 1111"], &["111111111", "111-11-111a"]),
        ("hexcolor", &["#fff", "00FFaa"], &["#ff", "#ggg", "##fff"]),
        ("rgbcolor", &["rgb(255,0, 10)"], &["rgb(256,0,0)", "rgb(1,2)", "rgb(01,2,3)", "(1,2,3)"]),
        ("byte", &["aGk=", "aGkh", "aA=="], &["", "aGk", "a===", "a$k="]),
        ("date", &["2026-02-28"], &["2026-02-30", "2026-2-1", "2026-02-28T", "26-02-28"]),
        (
            "duration",
            &["1h30m", "-1.5s", "0", "3 days", "2 Weeks", "10 milliseconds", "1µs", ".5h"],
            &["", "1", "1x", "-", "days"],
        ),
        (
            "date-time",
            &["2026-01-02T03:04:05Z", "2026-01-02t03:04:05.123z", "2026-01-02T03:04:05+01:00"],
            &[
                "2026-01-02",
                "2026-01-02T24:04:05Z",
                "2026-01-02T03:04:60Z",
                "2026-01-02T03:04:05",
                "2026-13-02T03:04:05Z",
            ],
        ),
        ("k8s-short-name", &["a", "a-b1"], &["", "A", "a.b", "-a"]),
    ];
    for (name, good, bad) in cases {
        let form = Form::named(name).expect(name);
        good.iter().for_each(|text| assert!(form.fits(text), "{name} takes {text:?}"));
        bad.iter().for_each(|text| assert!(!form.fits(text), "{name} refuses {text:?}"));
    }
    let long = Form::named("k8s-long-name").unwrap();
    assert!(long.fits("a.b-c.d") && !long.fits("a..b") && !long.fits(&"a".repeat(254)));
    assert!(Form::Password.fits("") && Form::named("int32").is_none() && Form::named("free").is_none());
}
