use super::*;

const EVENT: &str = r#"{"type":"record","name":"Event","fields":[]}"#;

/// What the registry at `url` answers: the status, the content type and the JSON.
async fn ask(request: reqwest::RequestBuilder) -> (u16, String, Value) {
    let response = request.send().await.expect("an answer");
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().expect("ASCII").to_owned();
    (response.status().as_u16(), content_type, response.json().await.expect("JSON"))
}

async fn get(url: String) -> (u16, Value) {
    let (status, content_type, body) = ask(reqwest::Client::new().get(url)).await;
    assert_eq!(content_type, CONTENT_TYPE);
    (status, body)
}

async fn post(url: String, body: Value) -> (u16, Value) {
    let request =
        reqwest::Client::new().post(url).header("content-type", CONTENT_TYPE).body(body.to_string());
    let (status, _, body) = ask(request).await;
    (status, body)
}

#[tokio::test]
async fn given_a_schema_posted_twice_then_it_has_one_id_and_one_version() {
    let server = RegistryServer::start().await.expect("a free port");
    let subject = format!("{}/subjects/a%2Fb-value", server.url());
    for _ in 0..2 {
        let registered = post(format!("{subject}/versions"), json!({ "schema": EVENT })).await;
        assert_eq!(registered, (200, json!({ "id": 1 })));
    }
    let other = post(format!("{}/subjects/c/versions", server.url()), json!({ "schema": EVENT })).await;
    assert_eq!(other, (200, json!({ "id": 1 })), "ids belong to schemas, not to subjects");
    assert_eq!(get(format!("{subject}/versions")).await, (200, json!([1])));
    assert_eq!(get(format!("{}/subjects", server.url())).await, (200, json!(["a/b-value", "c"])));
    assert_eq!(get(format!("{}/schemas/ids/1", server.url())).await, (200, json!({ "schema": EVENT })));
}

#[tokio::test]
async fn given_versions_and_references_then_they_are_shown_and_found() {
    let server = RegistryServer::start().await.expect("a free port");
    server.register("part", EVENT, &[]);
    let references = json!([{ "name": "Event", "subject": "part", "version": 1 }]);
    let submitted = json!({ "schema": "\"Event\"", "schemaType": "AVRO", "references": references });
    let subject = format!("{}/subjects/top", server.url());
    server.register("top", "\"int\"", &[]);
    assert_eq!(post(format!("{subject}/versions"), submitted.clone()).await, (200, json!({ "id": 3 })));
    let shown =
        json!({ "subject": "top", "version": 2, "id": 3, "schema": "\"Event\"", "references": references });
    assert_eq!(get(format!("{subject}/versions/2")).await, (200, shown.clone()));
    assert_eq!(get(format!("{subject}/versions/latest")).await, (200, shown.clone()));
    assert_eq!(post(subject, submitted).await, (200, shown));
}

#[tokio::test]
async fn given_what_is_not_there_or_not_valid_then_the_codes_are_confluents() {
    let server = RegistryServer::start().await.expect("a free port");
    server.register("there", EVENT, &[]);
    let url = |path: &str| format!("{}/{path}", server.url());
    let gets = [
        ("schemas/ids/9", 404, 40403),
        ("schemas/ids/4294967295", 404, 404),
        ("subjects/nowhere/versions", 404, 40401),
        ("subjects/nowhere/versions/1", 404, 40401),
        ("subjects/there/versions/2", 404, 40402),
        ("subjects/there/versions/0", 404, 40402),
        ("subjects/there/versions/x", 422, 42202),
    ];
    for (path, status, code) in gets {
        let (answered, body) = get(url(path)).await;
        assert_eq!((answered, &body["error_code"]), (status, &json!(code)), "{path}");
    }
    let dangling = json!([{ "name": "X", "subject": "nowhere", "version": 1 }]);
    let posts = [
        ("subjects/there", json!({ "schema": "\"int\"" }), 404, 40403),
        ("subjects/there/versions", json!({ "schema": "{" }), 422, 42201),
        ("subjects/there/versions", json!({}), 422, 42201),
        ("subjects/there/versions", json!({ "schema": "\"X\"", "references": dangling }), 422, 42201),
    ];
    for (path, submitted, status, code) in posts {
        let (answered, body) = post(url(path), submitted).await;
        assert_eq!((answered, &body["error_code"]), (status, &json!(code)), "{path}");
    }
}
