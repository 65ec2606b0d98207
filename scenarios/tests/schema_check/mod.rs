//! As much of JSON Schema as our own schema uses; an unknown keyword is an error, so that nothing is skipped in silence.

use serde_json::Value;

pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, schema, value, "")
}

fn at(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{path}: {what}"));
    if let Some(constant) = schema.as_bool() {
        return if constant { Ok(()) } else { wrong("nothing may be here".into()) };
    }
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => {}
            "required" => {
                for key in rule.as_array().unwrap().iter().map(|key| key.as_str().unwrap()) {
                    if value.get(key).is_none() {
                        return wrong(format!("{key} is missing"));
                    }
                }
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = rule.get(key) {
                        at(root, schema, value, &format!("{path}/{key}"))?;
                    }
                }
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if schema.get("properties").and_then(|known| known.get(key)).is_none() {
                        at(root, rule, value, &format!("{path}/{key}"))?;
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    at(root, rule, value, &format!("{path}/{index}"))?;
                }
            }
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                at(root, target.ok_or("a reference leads nowhere")?, value, path)?;
            }
            "type" => {
                let names: Vec<&str> = match rule {
                    Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                    name => name.as_str().into_iter().collect(),
                };
                if !names.iter().any(|name| has_type(name, value)) {
                    return wrong(format!("{value} is not of type {rule}"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => return wrong(format!("{value} is not in {rule}")),
            "const" if rule != value => return wrong(format!("{value} is not {rule}")),
            "enum" | "const" => {}
            "anyOf" | "oneOf" => {
                let fits = rule.as_array().unwrap().iter().filter(|one| at(root, one, value, path).is_ok()).count();
                if fits == 0 || (keyword == "oneOf" && fits > 1) {
                    return wrong(format!("{value} fits {fits} of {keyword}"));
                }
            }
            "minimum" if value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()) => {
                return wrong(format!("{value} is below {rule}"));
            }
            "maximum" if value.as_f64().is_some_and(|number| rule.as_f64().unwrap() < number) => {
                return wrong(format!("{value} is above {rule}"));
            }
            "minimum" | "maximum" => {}
            "pattern" => {
                let pattern = regex_lite::Regex::new(rule.as_str().unwrap()).map_err(|error| error.to_string())?;
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    return wrong(format!("{value} does not match {rule}"));
                }
            }
            other => return wrong(format!("the check does not know the keyword {other}")),
        }
    }
    Ok(())
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}
