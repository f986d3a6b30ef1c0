//! Keys and signatures that `openssl` made, and fingerprints that `ssh-keygen` printed of them.

/// What was signed.
pub(super) const MESSAGE: &[u8] = b"message";

pub(super) struct Known {
    /// Base64 of the `SubjectPublicKeyInfo`.
    pub(super) der: &'static str,
    pub(super) key_id: &'static str,
    /// Base64, over each digest that goes with the key.
    pub(super) signatures: &'static [&'static str],
}

pub(super) const P256: Known = Known {
    der: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEd+dRXaF8YKWEhmlWPQ/oDn3S75F0uNgycwfJhxCC2VsvczKSTx9zVIE7ky31JXSCWi3WE/Ac2nR47NadURABkg==",
    key_id: "SHA256:UO9gZigfDvQioQUhR3ZbhGJNUc6KI6N7rB3aSNlc2Ag",
    signatures: &[
        "MEUCIQDP0Svjv8Lp8+Iaa8iM8Tja9Sy/0VGWvkbNxlshWfu9uAIgL2TTO9RvFwo3e6QaI9w/WGS6L8k0dVn8WgKeAvTGH3U=",
    ],
};

pub(super) const P384: Known = Known {
    der: "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAESd5Bb62QwZSjH/YM+XzszhOP/0vjjsfTBHfiYKe7XrvqzgbAhEioKZieZg+7SY5OgWG9xNsfgNo+sIFkbIqvB0myzXzT/KybbJLDYc6Xwb8PhbfAkIWOcU8+K29yvIFY",
    key_id: "SHA256:KQKeCKgRbltRci81kcpIflqLqpYt0je7XR9/OsSJcGU",
    signatures: &[
        "MGYCMQC1v9xcjY5atIFhYDxQx5LKktECIiX4QJWFRq7incuOl2v54aYgiSIKNrL8kgysEUACMQDIUwlXQ9sw6FB+wUpLBeO7OyCuNYPIljjJeESg1jDQdYvcIVXLolIlFCGFeGpDAgI=",
        "MGUCMQCAgYivIq5ogQr3femOf03DUQ692NK1O56LbyLCbfHipZ4oBunzTVsSZ7QzDevmdjcCMDGgeGVIk0a3fCrpmXq3bu2UKPdRE5no8DyAJfYZU94ghAdmiGBjZ9i7xcWZ7D5hRQ==",
    ],
};

pub(super) const P521: Known = Known {
    der: "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBIqwiafToj7CgNX4XGbY4gzWcW/yon4N9Qdv5Xffv7hfNpLiIFQcC6Jq3mU4un2f5TmSwkADO8xk1C/FSxNewgmcAT2iePKRi3QhOknydGpIDbTQ+5TsjdY5+B7COwGNtisaHupu5NmNV6N+TV2anBl1BPIDItNWgrvGJQ7Fy3zCnmRc=",
    key_id: "SHA256:eev0V5/SksLwq0vUPdPoBkYamyvs9Kv4DbnLK1mWO5w",
    signatures: &[
        "MIGHAkEyaQKT7pra7R0ZLh0IHkQJHW8/Oy8HsqndIkshfLx5B3x8vpxtadLZ+pRDu3ud7xkQ0DLbXh+EnX1kWD5/ybbL0QJCASZIoyEIbyFyEQyC4Aw1FKRYIEfIOyflkD/Z67MZo36JJo1Jl7+lbBW/wYKBJavLUvOI/v9e+Kh8Begt1pVZ86e6",
        "MIGHAkEGPDpiGsL/d9wcSTkBIclf4ZG/4UmekQgahPtGaMsWZWx11a880EDjIzVZvOiHa1VUlFKR+S0UbsR338W62NGwJgJCAPg1VPiUecWGG9F+xfpozKq31F/7NuY7ruQAiJiLctecIEnpjboJ06xwphAXs77ZbsPyeqjGs8kUMuz7biMARMI8",
    ],
};

pub(super) const RSA: Known = Known {
    der: "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAt1zlTdV2vW5k/s4FXN86coIjTiZ3JfYKyq+SZC9wJ84/MwTySShE5exu79RtfoGfg2ZSUYOJtbC6OrXUkFxlO8ZsEYm0X4Yk3CqBFlTbhIFTOhF2/TXcaWht0MYfGMEWX513AwiAuYVSC1Q1lZl7nM+rVltSRhsJ/xaqgw2Iv3MdYPhjQ7XuKKl9vpvw7PwIfJW1c3XP6XljpfvktND8m7+6ltpvU9FVME4PrlQGrK95jLYbvC/ow72tm+gMXt2vrjUPGjwIKxSPkS1ebSQ6lUzo/1fSHFoH/1YLfEyzc+zAmbuns0ozRF3k/29K6ReT0TXzWefILgkCe+NZgpMrWwIDAQAB",
    key_id: "SHA256:8OsG3Tn5BH47LCudjoql99u5bMB+FPT2Cj64dIYlJq8",
    signatures: &[
        "NE1gjAk6dkHzYPwiRK+kixjp+7det/11l+MveI7K+zZF2puQvnOBYxHW1NyUUVF73joxH43EjsXlOUWIz99cjEAtkX40uZ2Ex8XmIxiNs48LSAe1ESBUyT3hA0hCh6rD1qF8I+ig9upbdLY/jaBTf3hEkXCH3+buU8fT/MjlINzC5UYgSL1T7EbAIwlROum9PDdWUIggCj3D539KnGAiP9C8l1VPT1Sb8Sb3PvOewUVf0Na9PjfBJ18Bsghawn1j3zbDURKmmcdNRuvq1MEOBrY0fktFg+9lowYY4fZ0hsXDHXIcuAIw/EHmq5PdfEdaJHRZV/qdNbroAKwZCzmBcQ==",
    ],
};

pub(super) const ED25519: Known = Known {
    der: "MCowBQYDK2VwAyEAqX+EDMMtL1BnJahZ03HEhcll3k54ffclJIPg/HWHLec=",
    key_id: "SHA256:mB3SFZgi7yj2OGvYj7BVX9ic2+r5Ay8rgJdL6AuruLg",
    signatures: &["odCOhOtpoPa4wqeW4xN+VakvOs8bLjezHS/h7oWf4LiBzLasqZ2O+eVSEgva0rVduvOGPuMwG3iQJrxgo0NuCA=="],
};

/// Keys that are not taken.
pub(super) const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDaDKw78GwgSUDNnZyq3ewxy0XuKGJKFAxz/UqSJHRRtfeA8VXDm/EQYldvwsMT01k2Uz5dnJpdw5XvdhhvCbCADkziHVtJgNfLGD+PMylUMNYBzkDHvy1jCnChZmrbCwPv5v6Ajkjj+nYuAKvlY2yHMWnk+lIq3kbc0PZYSeyTJQIDAQAB";
pub(super) const SECP256K1: &str = "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE4nEHjhgdh9/w3LEhJsBZJ1RL1g0BIDgLZrVyLrBTwxoedalvFcsVmtHUda/6CaHi12CnDyDMEdM5YpMA0dYLiw==";
pub(super) const COMPRESSED: &str =
    "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACd+dRXaF8YKWEhmlWPQ/oDn3S75F0uNgycwfJhxCC2Vs=";
/// A signature by [`P256`] over SHA-384.
pub(super) const OTHER_DIGEST: &str =
    "MEUCIQDJJy8QUkdwp7q7c2XC0kbBRXuUR8QyFo54whZijdP+xwIgWzGIsnWYl4hjJJGZbF2quX84qxP9zNTRImI5Jl80mzc=";
