//! Tokens that are believed, and all the ways in which others ask to be.

use jsonwebtoken::jwk::JwkSet;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ring::{digest, hmac};
use serde_json::{Value, json};
use underseal_http::{ReadOptions, Scratch, http1};
use underseal_policy::{PolicyFile, load_all};

use self::issuer::{ISSUER, Issuer, base64, claims, signed};
use super::*;

mod issuer;

fn tokens_with(keys: &[Value], more: &str) -> Tokens {
    compile(keys, more).expect("usable keys")
}

fn compile(keys: &[Value], more: &str) -> Result<Tokens, Unusable> {
    let jwks = json!({ "keys": keys }).to_string();
    let text = format!(
        "apiVersion: underseal/v1alpha1\nkind: RequestAuthentication\nmetadata: {{ name: t }}\n\
         spec: {{ jwtRules: [{{ issuer: '{ISSUER}', jwks: '{jwks}'{more} }}] }}\n"
    );
    let file = PolicyFile {
        name: "t.yaml",
        text: &text,
    };
    let loaded = load_all(&[file], &[]).expect("loads");
    Tokens::compile(&loaded, &Labels::new())
}

fn tokens(issuer: &Issuer) -> Tokens {
    tokens_with(&[issuer.jwk()], "")
}

/// What is found in a request with these field lines and this target.
fn find_at(tokens: &Tokens, target: &str, fields: &[String]) -> Result<Found, BadToken> {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        head += &format!("{field}\r\n");
    }
    head += "\r\n";
    let mut scratch = Scratch::default();
    let read = http1::read(head.as_bytes(), &ReadOptions::default(), &mut scratch);
    let request = read.expect("unambiguous").expect("whole").request();
    tokens.find(&request, &mut Cache::default())
}

fn find(tokens: &Tokens, token: &str) -> Result<Found, BadToken> {
    find_at(tokens, "/", &[format!("Authorization: Bearer {token}")])
}

#[track_caller]
fn believed(found: Result<Found, BadToken>) {
    assert!(matches!(found, Ok(Found::Is(_))), "{found:?}");
}

#[track_caller]
fn refused(found: Result<Found, BadToken>) {
    assert!(matches!(found, Err(BadToken)), "{found:?}");
}

#[track_caller]
fn absent(found: Result<Found, BadToken>) {
    assert!(matches!(found, Ok(Found::Absent)), "{found:?}");
}

#[test]
fn a_token_that_the_issuer_signed_is_believed() {
    let issuer = Issuer::new("one");
    let other = Issuer::new("other");
    let tokens = tokens_with(&[other.jwk(), issuer.jwk()], "");
    believed(find(&tokens, &issuer.token(&json!({}))));
    // Without a name for the key, each of them is tried.
    let unnamed = issuer.sign(&json!({ "alg": "ES256" }), &claims(&json!({})));
    believed(find(&tokens, &unnamed));
    let misnamed = issuer.sign(
        &json!({ "alg": "ES256", "kid": "other" }),
        &claims(&json!({})),
    );
    refused(find(&tokens, &misnamed));
    let stranger = Issuer::new("one");
    refused(find(&tokens, &stranger.token(&json!({}))));
}

#[test]
fn a_token_is_tried_with_few_keys() {
    let issuers = ["one", "two", "three", "four", "five"].map(Issuer::new);
    let keys = issuers.each_ref().map(Issuer::jwk);
    let unnamed = |issuer: &Issuer| issuer.sign(&json!({ "alg": "ES256" }), &claims(&json!({})));
    for (keys, is_believed) in [(&keys[..4], true), (&keys[..], false)] {
        let tokens = tokens_with(keys, "");
        believed(find(&tokens, &issuers[3].token(&json!({}))));
        match is_believed {
            true => believed(find(&tokens, &unnamed(&issuers[3]))),
            false => refused(find(&tokens, &unnamed(&issuers[3]))),
        }
    }
}

#[test]
fn many_keys_have_names() {
    let nameless = |_| {
        let mut key = Issuer::new("one").jwk();
        key.as_object_mut().expect("a key").remove("kid");
        key
    };
    let keys: Vec<_> = (0..5).map(nameless).collect();
    let compiled = |keys: &[Value]| compile(keys, "").map_err(|Unusable(why)| why);
    assert!(compiled(&keys[..4]).is_ok());
    let named = Issuer::new("five");
    let tokens = tokens_with(&[&keys[..4], &[named.jwk()]].concat(), "");
    believed(find(&tokens, &named.token(&json!({}))));
    assert_eq!(
        compiled(&keys).err().as_deref(),
        Some("t.yaml: jwks: more than 4 keys without `kid` could have signed a token")
    );
}

#[test]
fn keys_of_edwards_curves_and_rsa_verify() {
    let random = SystemRandom::new();
    let document = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
    let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key");
    let x = base64(key.public_key().as_ref());
    let tokens = tokens_with(&[json!({ "kty": "OKP", "crv": "Ed25519", "x": x })], "");
    let sign = |message: &[u8]| key.sign(message).as_ref().to_vec();
    let header = json!({ "alg": "EdDSA" });
    believed(find(&tokens, &signed(&header, &claims(&json!({})), sign)));

    let key = aws_lc_rs::signature::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048);
    let key = key.expect("a key");
    // RSAPublicKey (RFC 8017 appendix A.1.1): a header of nine bytes, the modulus, the exponent.
    let n = base64(&aws_lc_rs::signature::KeyPair::public_key(&key).as_ref()[9..265]);
    let rsa = |algorithm: Option<&str>| {
        let mut jwk = json!({ "kty": "RSA", "n": n, "e": "AQAB" });
        if let Some(algorithm) = algorithm {
            jwk["alg"] = algorithm.into();
        }
        tokens_with(&[jwk], "")
    };
    let random = aws_lc_rs::rand::SystemRandom::new();
    for (name, how) in [
        ("RS256", &aws_lc_rs::signature::RSA_PKCS1_SHA256),
        ("PS512", &aws_lc_rs::signature::RSA_PSS_SHA512),
    ] {
        let token = signed(&json!({ "alg": name }), &claims(&json!({})), |message| {
            let mut signature = vec![0; 256];
            key.sign(how, &random, message, &mut signature)
                .expect("a signature");
            signature
        });
        believed(find(&rsa(None), &token));
        believed(find(&rsa(Some(name)), &token));
        // A key is for what it says.
        refused(find(&rsa(Some("RS384")), &token));
    }
}

#[test]
fn no_token_chooses_how_it_is_verified() {
    let issuer = Issuer::new("one");
    let tokens = tokens(&issuer);
    let claims = claims(&json!({}));
    for alg in [
        "none", "None", "NONE", "", "HS256", "ES384", "RS256", "EdDSA", "ES256K",
    ] {
        refused(find(&tokens, &issuer.sign(&json!({ "alg": alg }), &claims)));
    }
    let unsigned = signed(&json!({ "alg": "none" }), &claims, |_| Vec::new());
    refused(find(&tokens, &unsigned));
    let unsigned = signed(&json!({ "alg": "ES256" }), &claims, |_| Vec::new());
    refused(find(&tokens, &unsigned));
    refused(find(&tokens, &issuer.sign(&json!({}), &claims)));
    // The public key, in every form in which a library may hold it, as a secret.
    let point = issuer.key.public_key().as_ref().to_vec();
    let jwk = issuer.jwk();
    let secrets = [
        point.clone(),
        point[1..].to_vec(),
        jwk.to_string().into_bytes(),
        jwk["x"].as_str().expect("text").as_bytes().to_vec(),
        Vec::new(),
    ];
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let sign = |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec();
        refused(find(
            &tokens,
            &signed(&json!({ "alg": "HS256" }), &claims, sign),
        ));
    }
    // What is not understood has to be (RFC 7515 section 4.1.11).
    let critical = json!({ "alg": "ES256", "crit": ["exp"], "exp": 1 });
    refused(find(&tokens, &issuer.sign(&critical, &claims)));
}

#[test]
fn a_token_brings_no_key_of_its_own() {
    let issuer = Issuer::new("one");
    let stranger = Issuer::new("one");
    let header = json!({ "alg": "ES256", "kid": "one", "jwk": stranger.jwk() });
    refused(find(
        &tokens(&issuer),
        &stranger.sign(&header, &claims(&json!({}))),
    ));
}

#[test]
fn clocks_may_be_a_minute_apart() {
    let issuer = Issuer::new("one");
    let tokens = tokens(&issuer);
    let of = |more: Value| find(&tokens, &issuer.token(&more));
    believed(of(json!({ "exp": now() - LEEWAY + 20 })));
    refused(of(json!({ "exp": now() - LEEWAY - 20 })));
    refused(of(json!({ "exp": "soon" })));
    refused(of(json!({ "exp": -1 })));
    believed(of(json!({ "nbf": now() + LEEWAY - 20 })));
    refused(of(json!({ "nbf": now() + LEEWAY + 20 })));
    refused(of(json!({ "nbf": [] })));
    believed(of(json!({ "exp": 4_000_000_000.5_f64 })));
}

#[test]
fn a_token_is_for_whom_it_says_and_of_whom() {
    let issuer = Issuer::new("one");
    let tokens = tokens_with(&[issuer.jwk()], ", audiences: [orders, stock]");
    let of = |more: Value| find(&tokens, &issuer.token(&more));
    believed(of(json!({})));
    believed(of(json!({ "aud": ["other", "stock"] })));
    refused(of(json!({ "aud": "other" })));
    refused(of(json!({ "aud": [] })));
    refused(of(json!({ "aud": null })));
    refused(of(json!({ "aud": { "orders": 1 } })));
    refused(of(json!({ "iss": "https://issuer.test/" })));
    refused(of(json!({ "iss": null })));
    refused(of(json!({ "iss": [ISSUER] })));
}

#[test]
fn what_is_no_token_is_refused() {
    let issuer = Issuer::new("one");
    let tokens = tokens(&issuer);
    let good = issuer.token(&json!({}));
    let parts: Vec<_> = good.split('.').collect();
    for bad in [
        String::new(),
        "x".to_owned(),
        "..".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{good}="),
        format!(".{good}"),
        format!("{}.{}.{}x", parts[0], parts[1], parts[2]),
        format!("{good}, {good}"),
        good.to_uppercase(),
    ] {
        refused(find(&tokens, &bad));
    }
    // Whatever is in it, and before anything of it is looked at.
    let large = issuer.token(&json!({ "x": "x".repeat(MAX_TOKEN) }));
    refused(find(&tokens, &large));
    let largest = issuer.token(&json!({ "x": "x".repeat(MAX_TOKEN / 2) }));
    believed(find(&tokens, &largest));
}

#[test]
fn a_token_stands_where_it_should_and_once() {
    let issuer = Issuer::new("one");
    let plain = tokens(&issuer);
    let token = issuer.token(&json!({}));
    let lines = |lines: &[String]| find_at(&plain, "/", lines);
    let field = |value: &str| lines(&[format!("Authorization: {value}")]);
    absent(lines(&[]));
    believed(field(&format!("bearer   {token}")));
    // Another scheme is no token, and no scheme neither.
    absent(field(&format!("Basic {token}")));
    absent(field(&token));
    absent(field(&format!("Bearer{token}")));
    refused(field("Bearer"));
    refused(field(&format!("Bearer {token} {token}")));
    let bearer = format!("Authorization: Bearer {token}");
    refused(lines(&[bearer.clone(), bearer.clone()]));
    refused(lines(&[
        bearer.clone(),
        "Authorization: Bearer x".to_owned(),
    ]));
    believed(find_at(&plain, &format!("/?a=b&access_token={token}"), &[]));
    believed(find_at(&plain, &format!("/?access%5Ftoken={token}"), &[]));
    refused(find_at(
        &plain,
        &format!("/?access_token={token}&access_token={token}"),
        &[],
    ));
    refused(find_at(
        &plain,
        &format!("/?access_token={token}"),
        &[bearer],
    ));

    let places = ", fromHeaders: [{ name: X-Token, prefix: 'Token ' }], fromCookies: [session]";
    let tokens = tokens_with(&[issuer.jwk()], places);
    believed(find_at(&tokens, "/", &[format!("x-token: Token {token}")]));
    absent(find_at(&tokens, "/", &[format!("x-token: {token}")]));
    absent(find_at(
        &tokens,
        "/",
        &[format!("Authorization: Bearer {token}")],
    ));
    believed(find_at(
        &tokens,
        "/",
        &[format!("Cookie: a=b; session={token}")],
    ));
    refused(find_at(&tokens, "/", &["Cookie: session=x".to_owned()]));
}

#[test]
fn without_an_issuer_nobody_looks_for_tokens() {
    let found = find(&Tokens::default(), "x");
    assert!(matches!(found, Ok(Found::Unknown)), "{found:?}");
}

#[test]
fn keys_that_verify_nothing_are_an_error() {
    let issuer = Issuer::new("one");
    let mut encrypting = issuer.jwk();
    encrypting["use"] = "enc".into();
    let mut signing = issuer.jwk();
    signing["key_ops"] = json!(["sign"]);
    let mut other = issuer.jwk();
    other["alg"] = "ES384".into();
    for key in [
        encrypting,
        signing,
        other,
        json!({ "kty": "oct", "k": base64(b"secret") }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "new" }),
    ] {
        let set: Result<JwkSet, _> = serde_json::from_value(json!({ "keys": [key] }));
        let Ok(_) = set else { continue };
        let rule = JwtRule {
            jwks: Some(json!({ "keys": [key] }).to_string()),
            ..JwtRule::default()
        };
        keys::of("t.yaml", &rule).expect_err("no key");
    }
}

/// A token that the cache holds, and says whether it still does.
fn entry(expires: u64) -> Entry {
    Entry {
        location: 0,
        expires,
        claims: Rc::default(),
    }
}

#[test]
fn a_token_is_verified_once_until_it_expires() {
    let issuer = Issuer::new("one");
    let tokens = tokens(&issuer);
    let token = issuer.token(&json!({ "exp": now() + 10 }));
    let mut cache = Cache::default();
    let first = tokens
        .verify(0, token.as_bytes(), now(), &mut cache)
        .expect("believed");
    let again = tokens
        .verify(0, token.as_bytes(), now(), &mut cache)
        .expect("believed");
    assert!(Rc::ptr_eq(&first, &again));
    // The clock of the library has not moved; the cache's has, and it asks the library.
    let later = now() + 10 + LEEWAY;
    let asked = tokens
        .verify(0, token.as_bytes(), later, &mut cache)
        .expect("verified anew");
    assert!(!Rc::ptr_eq(&first, &asked));
    // What other keys verified is not believed.
    let others = self::tokens(&Issuer::new("one"));
    others
        .verify(0, token.as_bytes(), now(), &mut cache)
        .expect_err("another key");
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut cache = Cache::default();
    let token = |index: u32| digest::digest(&digest::SHA256, &index.to_be_bytes());
    for index in 0..100_000 {
        cache.put(token(index).as_ref(), entry(u64::MAX));
        // One that is used stays.
        assert!(cache.get(token(0).as_ref(), 0, 0).is_some(), "{index}");
    }
    assert!(cache.len() < 20_000, "{}", cache.len());
    assert!(cache.get(token(99_999).as_ref(), 1, 0).is_none());
    cache.put(b"old", entry(7));
    assert!(cache.get(b"old", 0, 6).is_some());
    assert!(cache.get(b"old", 0, 7).is_none());
}
