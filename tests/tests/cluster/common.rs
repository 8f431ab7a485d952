//! What the tests against a real API server share.

use std::sync::Once;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::Config;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::core::GroupVersionKind;
use loadgrid::kube::client::Cluster;
use loadgrid_tests::cluster::Cluster as Shared;
use serde_json::{Value, json};

/// A namespace of its own for a test.
pub struct Place {
    pub namespace: String,
    config: Config,
    pub admin: Cluster,
}

fn made(config: Config, namespace: &str) -> Cluster {
    let server = config.cluster_url.to_string();
    let client = kube::Client::try_from(config).expect("a client");
    Cluster { client, server, namespace: namespace.to_owned(), inside: false }
}

impl Place {
    pub async fn new(name: &str) -> Option<Place> {
        static KNATIVE: Once = Once::new();
        let shared = Shared::shared()?;
        // KServe is not installed: what is said then is tested too.
        KNATIVE.call_once(|| shared.install("knative-service"));
        let namespace = format!("{name}-{}", std::process::id());
        let kubeconfig = Kubeconfig::read_from(shared.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.expect("a kubeconfig");
        let admin = made(config.clone(), &namespace);
        let place = Place { namespace: namespace.clone(), config, admin };
        place.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})).await;
        Some(place)
    }

    /// A user who may do what these rules say, in this namespace.
    pub async fn user(&self, user: &str, rules: Value) -> Cluster {
        let name = user.replace(':', "-");
        let first = rules.get(0).cloned();
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules});
        self.create(role).await;
        let subjects = json!([{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]);
        self.create(
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "subjects": subjects, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}}),
        )
        .await;
        if let Some(rule) = first {
            self.allowed(user, &rule).await;
        }
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(vec!["system:authenticated".to_owned()]);
        made(config, &self.namespace)
    }

    /// Waits until the API server goes by a rule: it learns of a new one a moment later.
    async fn allowed(&self, user: &str, rule: &Value) {
        let of = |list: &str| rule[list][0].as_str().unwrap_or_default();
        let (resource, sub) = of("resources").split_once('/').unwrap_or((of("resources"), ""));
        let attributes = json!({"namespace": self.namespace, "group": of("apiGroups"), "resource": resource,
            "subresource": sub, "verb": of("verbs"), "name": of("resourceNames")});
        let review = json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}});
        let review: SubjectAccessReview = serde_json::from_value(review).expect("a review");
        let reviews: Api<SubjectAccessReview> = Api::all(self.admin.client.clone());
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = reviews.create(&PostParams::default(), &review).await.expect("an answer");
            if answer.status.is_some_and(|status| status.allowed) {
                return;
            }
            assert!(Instant::now() < until, "{user} never may what {rule} says");
        }
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |key: &str| object[key].as_str().expect("its kind").to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        match kind.as_str() {
            "Namespace" | "Node" | "CustomResourceDefinition" => Api::all_with(self.admin.client.clone(), &resource),
            _ => Api::namespaced_with(self.admin.client.clone(), &self.namespace, &resource),
        }
    }

    pub async fn create(&self, object: Value) {
        let made: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
        let created = self.api(&object).create(&PostParams::default(), &made).await;
        created.unwrap_or_else(|error| panic!("{object}: {error}"));
    }

    pub async fn status(&self, object: Value, status: Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let patch = Patch::Merge(json!({"status": status}));
        let patched = self.api(&object).patch_status(name, &PatchParams::default(), &patch).await;
        patched.unwrap_or_else(|error| panic!("{object}: {error}"));
    }

    pub async fn patch(&self, object: Value, patch: Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let patched = self.api(&object).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.unwrap_or_else(|error| panic!("{object}: {error}"));
    }

    pub async fn delete(&self, object: Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        self.api(&object).delete(name, &Default::default()).await.expect("deleted");
    }
}
