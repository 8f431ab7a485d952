use super::model::Report;
pub fn render(_report: &Report) -> Result<String, tera::Error> {
    Ok(String::new())
}
