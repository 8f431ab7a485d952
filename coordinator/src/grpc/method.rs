//! The method that a call names. It does not know where the schema came from.

use loadgrid_worker::client::grpc::Kind;
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::near;

/// The service and the method of `pkg.Service/Method` or `pkg.Service.Method`.
fn parts(call: &str) -> Result<(&str, &str), String> {
    let parts = call.trim_start_matches('/').rsplit_once(['/', '.']);
    parts
        .filter(|(service, method)| !service.is_empty() && !method.is_empty() && !service.contains('/'))
        .ok_or_else(|| format!("'{call}' is no call: write package.Service/Method"))
}

/// The service of `pkg.Service/Method` or `pkg.Service.Method`.
///
/// # Errors
/// What to write, if it is neither.
pub fn service(call: &str) -> Result<&str, String> {
    parts(call).map(|(service, _)| service)
}

/// The method of `pkg.Service/Method` or `pkg.Service.Method`.
///
/// # Errors
/// A sentence with the services or methods there are, the likeliest first.
pub fn method(pool: &DescriptorPool, call: &str) -> Result<MethodDescriptor, String> {
    let whole = pool.get_service_by_name(call.trim_matches('/'));
    if let Some(service) = whole {
        let methods = near::listed("", service.methods().map(|method| method.name().to_owned()));
        return Err(format!("'{call}' is a service: write {}/METHOD, of {methods}", service.full_name()));
    }
    let (service, name) = parts(call)?;
    let Some(found) = pool.get_service_by_name(service) else {
        let services = near::listed(service, pool.services().map(|service| service.full_name().to_owned()));
        return Err(format!("there is no service '{service}' in the schema: there are {services}"));
    };
    found.methods().find(|method| method.name() == name).ok_or_else(|| {
        let methods = near::listed(name, found.methods().map(|method| method.name().to_owned()));
        format!("the service '{service}' has no method '{name}': it has {methods}")
    })
}

/// As it stands in a request: `/pkg.Service/Method`.
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Who sends how many messages.
pub fn kind(method: &MethodDescriptor) -> Kind {
    Kind::new(method.is_client_streaming(), method.is_server_streaming())
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Schema, local_pool};
    use super::*;

    fn pool() -> DescriptorPool {
        let text = "syntax = 'proto3'; package shop.v1; message M {} \
                    service Orders { rpc Place(M) returns (M); rpc Watch(M) returns (stream M); } service Users {}";
        let proto = Schema::Proto { name: "shop.proto".into(), text: Some(text.into()), import_paths: vec![] };
        local_pool(&proto).unwrap().unwrap()
    }

    #[test]
    fn calls_have_two_spellings() {
        for call in ["shop.v1.Orders/Place", "shop.v1.Orders.Place", "/shop.v1.Orders/Place"] {
            assert_eq!(path(&method(&pool(), call).unwrap()), "/shop.v1.Orders/Place");
            assert_eq!(service(call).unwrap(), "shop.v1.Orders");
        }
        assert_eq!(kind(&method(&pool(), "shop.v1.Orders/Watch").unwrap()), Kind::ServerStreaming);
    }

    #[test]
    fn what_there_is_is_said() {
        let cases = [
            (
                "shop.v1.Order/Place",
                "no service 'shop.v1.Order' in the schema: there are shop.v1.Orders, shop.v1.Users",
            ),
            ("Orders/Place", "there are shop.v1.Orders, shop.v1.Users"),
            ("shop.v1.Orders/Wacht", "'shop.v1.Orders' has no method 'Wacht': it has Watch, Place"),
            ("shop.v1.Orders", "is a service: write shop.v1.Orders/METHOD, of Place, Watch"),
            ("shop.v1.Users/Get", "it has none"),
            ("Place", "write package.Service/Method"),
            ("a/b/c", "write package.Service/Method"),
            ("", "write package.Service/Method"),
        ];
        for (call, expected) in cases {
            let error = method(&pool(), call).unwrap_err();
            assert!(error.contains(expected), "{call}: {error}");
        }
    }
}
