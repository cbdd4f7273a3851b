//! RFC 9001 appendix A, RFC 9369 appendix A, and the packet of the selftest that came with the patch
//! for QUIC below the UDP socket (A. Abouchaev, "net: support QUIC crypto", 2022).

use underseal_record::quic::{
    Header, HeaderKey, InitialSecrets, PacketKey, PacketOpener, PacketSealer, PacketType, Version,
    header_key, packet_key, retry_tag,
};
use underseal_record::{Algorithm, Backend, TAG_LEN, TrafficSecret};

use crate::packets::hex;

const DESTINATION: &str = "8394c8f03e515708";

/// The CRYPTO frame of the client's Initial packet; padding follows, up to 1162 bytes.
const CLIENT_HELLO: &str = "
    060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868
    04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fba
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400
    0d0010000e0403050306030203080408050806002d00020101001c0002400100
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000
    75300901100f088394c8f03e51570806048000ffff";

const SERVER_HELLO: &str = "
    02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739
    88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94
    0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00
    020304";

/// What differs between the two RFCs.
struct Vectors {
    version: Version,
    client_secret: &'static str,
    server_secret: &'static str,
    client_header: &'static str,
    /// The protected header with the first block of ciphertext, and the last three blocks: the tag
    /// depends on everything between.
    client_packet: (&'static str, &'static str),
    server_header: &'static str,
    server_packet: &'static str,
    chacha_packet: &'static str,
}

const VECTORS: [Vectors; 2] = [
    Vectors {
        version: Version::V1,
        client_secret: "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
        server_secret: "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
        client_header: "c300000001088394c8f03e5157080000449e00000002",
        client_packet: (
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b",
            "7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241
             e221af44860018ab0856972e194cd934",
        ),
        server_header: "c1000000010008f067a5502a4262b50040750001",
        server_packet: "
            cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a
            5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
            dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
            022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
            2158407dd074ee",
        chacha_packet: "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
    },
    Vectors {
        version: Version::V2,
        client_secret: "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b",
        server_secret: "0263db1782731bf4588e7e4d93b7463907cb8cd8200b5da55a8bd488eafc37c1",
        client_header: "d36b3343cf088394c8f03e5157080000449e00000002",
        client_packet: (
            "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071",
            "9a37ddec600545473cfb5a05e08d0b209973b2172b4d21fb69745a262ccde96b
             a18b2faa745b6fe189cf772a9f84cbfc",
        ),
        server_header: "d16b3343cf0008f067a5502a4262b50040750001",
        server_packet: "
            dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698
            baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17
            f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2
            c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8
            4bed8521e2e140",
        chacha_packet: "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba",
    },
];

const CHACHA_SECRET: &str = "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";
const CHACHA_NUMBER: u64 = 654_360_564;

fn unsealed(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, payload, &[0; TAG_LEN]].concat()
}

fn opens_to(mut opener: PacketOpener, sealed: &[u8], header: &[u8], payload: &[u8], id_len: usize) {
    let mut packet = sealed.to_vec();
    let parsed = Header::parse(&packet, id_len).unwrap();
    assert_eq!(parsed.len, packet.len());
    let opened = opener.open(&mut packet, parsed.number_at).unwrap();
    assert_eq!(
        packet[..header.len()],
        *header,
        "the header is no longer protected"
    );
    assert_eq!(packet[opened.payload], *payload);
}

#[test]
fn initial_secrets_are_those_of_the_rfcs() {
    for vectors in VECTORS {
        let secrets = InitialSecrets::new(vectors.version, &hex(DESTINATION));
        assert_eq!(secrets.client.dangerous_bytes(), hex(vectors.client_secret));
        assert_eq!(secrets.server.dangerous_bytes(), hex(vectors.server_secret));
    }
}

#[test]
fn the_clients_initial_packet_is_that_of_the_rfcs() {
    let mut payload = hex(CLIENT_HELLO);
    payload.resize(1162, 0);
    for (vectors, backend) in VECTORS.iter().flat_map(|v| Backend::ALL.map(|b| (v, b))) {
        let secrets = || InitialSecrets::new(vectors.version, &hex(DESTINATION)).client;
        let header = hex(vectors.client_header);
        let mut packet = unsealed(&header, &payload);
        let mut sealer = PacketSealer::with_backend(vectors.version, secrets(), backend);
        sealer.seal(&mut packet, 18, 2).unwrap();
        let (start, end) = (hex(vectors.client_packet.0), hex(vectors.client_packet.1));
        assert_eq!(packet.len(), 1200);
        assert!(
            packet.starts_with(&start) && packet.ends_with(&end),
            "{backend}"
        );
        let opener = PacketOpener::with_backend(vectors.version, secrets(), backend);
        opens_to(opener, &packet, &header, &payload, 0);
    }
}

#[test]
fn the_servers_initial_packet_is_that_of_the_rfcs() {
    for (vectors, backend) in VECTORS.iter().flat_map(|v| Backend::ALL.map(|b| (v, b))) {
        let secrets = || InitialSecrets::new(vectors.version, &hex(DESTINATION)).server;
        let (header, payload) = (hex(vectors.server_header), hex(SERVER_HELLO));
        let mut packet = unsealed(&header, &payload);
        let mut sealer = PacketSealer::with_backend(vectors.version, secrets(), backend);
        sealer.seal(&mut packet, 18, 1).unwrap();
        assert_eq!(packet, hex(vectors.server_packet), "{backend}");
        let parsed = Header::parse(&packet, 0).unwrap();
        assert_eq!(parsed.packet_type, PacketType::Initial);
        let opener = PacketOpener::with_backend(vectors.version, secrets(), backend);
        opens_to(opener, &packet, &header, &payload, 0);
    }
}

#[test]
fn the_short_packet_under_chacha20_is_that_of_the_rfcs() {
    for (vectors, backend) in VECTORS.iter().flat_map(|v| Backend::ALL.map(|b| (v, b))) {
        let secret =
            || TrafficSecret::new(Algorithm::ChaCha20Poly1305, &hex(CHACHA_SECRET)).unwrap();
        let header = hex("4200bff4");
        let mut packet = unsealed(&header, &[1]);
        let mut sealer = PacketSealer::with_backend(vectors.version, secret(), backend);
        sealer.seal(&mut packet, 1, CHACHA_NUMBER).unwrap();
        assert_eq!(packet, hex(vectors.chacha_packet), "{backend}");
        let mut opener = PacketOpener::with_backend(vectors.version, secret(), backend);
        opener.set_largest(CHACHA_NUMBER - 1);
        opens_to(opener, &packet, &header, &[1], 0);
    }
}

/// RFC 9001 appendix A.5 and RFC 9369 appendix A.5: the secret of the next generation.
#[test]
fn an_updated_secret_is_that_of_the_rfcs() {
    let next = [
        "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9",
        "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88",
    ];
    for (version, next) in Version::ALL.into_iter().zip(next) {
        let algorithm = Algorithm::ChaCha20Poly1305;
        let secret = TrafficSecret::new(algorithm, &hex(CHACHA_SECRET)).unwrap();
        let mut sealer = PacketSealer::new(version, secret);
        sealer.follow(1).unwrap();
        let mut packet = unsealed(&hex("450000"), &[1; 3]);
        sealer.seal(&mut packet, 1, 0).unwrap();
        // The same packet by the keys of that secret, and the header key of the first.
        let next = TrafficSecret::new(algorithm, &hex(next)).unwrap();
        let key = packet_key(version, &next, Backend::ALL[0]);
        let first = TrafficSecret::new(algorithm, &hex(CHACHA_SECRET)).unwrap();
        let hp = header_key(version, &first, Backend::ALL[0]);
        let mut header = hex("450000");
        let mut payload = vec![1; 3];
        let tag = key.seal_in_place(0, 0, &header, &mut payload).unwrap();
        payload.extend(tag);
        let sample = payload[2..18].try_into().unwrap();
        let (first, number) = header.split_first_mut().unwrap();
        hp.protect(&sample, first, number).unwrap();
        assert_eq!(packet, [header, payload].concat());
    }
}

#[test]
fn the_published_packet_for_the_udp_socket_is_sealed_to_the_same_bytes() {
    let header = hex("40086bbf8882b91249ca");
    let payload = hex("0280de403940f600010b000f6563686f2030313233343536373839");
    let sealed =
        "46086bbf8882b912491c44b841bbcf6e0a2a24fbb47962ea59381a0e501e59ed3f8e7e5a70e42abc2a
                  fa2b54eb89c32cb68c1eab2d";
    for backend in Backend::ALL {
        let iv = hex("3aa74672e9836b55da667bda").try_into().unwrap();
        let key = hex("8771ea1dfbbe7a45bbe27ebc0b539499");
        let key = PacketKey::with_backend(Algorithm::Aes128Gcm, &key, iv, backend).unwrap();
        let hp = hex("c98efdf20b648c57b50ab2d221d366a5");
        let hp = HeaderKey::with_backend(Algorithm::Aes128Gcm, &hp, backend).unwrap();
        let (mut header, mut body) = (header.clone(), payload.clone());
        let tag = key.seal_in_place(0, 0x0d65ca, &header, &mut body).unwrap();
        body.extend(tag);
        let sample = body[3..19].try_into().unwrap();
        let (first, rest) = header.split_first_mut().unwrap();
        hp.protect(&sample, first, &mut rest[8..]).unwrap();
        assert_eq!([header, body].concat(), hex(sealed), "{backend}");
    }
}

#[test]
fn the_tag_of_a_retry_packet_is_that_of_the_rfcs() {
    for (version, packet, tag) in [
        (
            Version::V1,
            "ff000000010008f067a5502a4262b5746f6b656e",
            "04a265ba2eff4d829058fb3f0f2496ba",
        ),
        (
            Version::V2,
            "cf6b3343cf0008f067a5502a4262b5746f6b656e",
            "c8646ce8bfe33952d955543665dcc7b6",
        ),
    ] {
        let (packet, destination) = (hex(packet), hex(DESTINATION));
        let (header, token) = packet.split_at(15);
        assert_eq!(retry_tag(version, &destination, &[&packet]), *hex(tag));
        assert_eq!(
            retry_tag(version, &destination, &[header, token]),
            *hex(tag)
        );
        assert_ne!(retry_tag(version, &[], &[&packet]), *hex(tag));
    }
}
